package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"serialhub/internal/client"
	"serialhub/internal/config"
	"serialhub/internal/doctor"
	"serialhub/internal/nearest"
	"serialhub/internal/render"
	"serialhub/internal/table"
)

// defaultConfig is where the package has the file of links.
const defaultConfig = "/etc/serialhub/links.yaml"

type doctorOptions struct {
	hub    hubOptions
	output output
}

func doctorCommand() *cobra.Command {
	var options doctorOptions
	command := &cobra.Command{
		Use:   "doctor [LINK…]",
		Short: "Look for what is wrong around the links, and say what to type",
		Long: `Doctor looks at the links, or at those that are named, at the VMs that use them and at this
machine: folders that a VM cannot enter, QEMUs that were started without reconnect or have
lost their socket, sockets and ports that somebody else has, groups that are missing, limits,
cleaners of /tmp, denials by AppArmor and SELinux, the hub's unit, a reload that was
forgotten. For each it says what to type. It changes nothing, and no VM notices it.

It asks the hub that runs. If none does, it looks at the file that -c names, or at
` + defaultConfig + `. An ordinary user does not see everything; what was not seen is said.

The exit code is 0 if nothing is wrong, 1 if something is (notes do not count), and 2 if the
file of links has faults.`,
		Example: `  serialhub doctor
  serialhub doctor dbg
  sudo serialhub doctor -c /etc/serialhub/links.yaml
  serialhub doctor -o json | jq -r '.findings[] | select(.severity == "problem").message'`,
		Args: anyLinks,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := options.output.check("text"); err != nil {
				return err
			}
			return options.run(context.Background(), args)
		},
	}
	options.hub.add(command)
	options.output.add(command, "text", "what was found, for programs")
	return command
}

func (o *doctorOptions) run(ctx context.Context, names []string) error {
	patient, err := o.patient(ctx)
	if err != nil {
		return err
	}
	if err := known(patient, names); err != nil {
		return &failure{err}
	}
	patient.Only = names
	findings := doctor.Examine(ctx, patient, doctor.This())
	if o.output.isJSON() {
		if findings == nil {
			findings = []doctor.Finding{}
		}
		err = writeJSON(os.Stdout, struct {
			Findings []doctor.Finding `json:"findings"`
		}{findings})
	} else {
		_, err = io.WriteString(os.Stdout, tell(styleFor(os.Stdout), findings))
	}
	if err != nil {
		return &failure{err}
	}
	problems := len(findings) - notes(findings)
	if problems > 0 {
		return &failure{fmt.Errorf("doctor has found %s", plural(problems, "problem"))}
	}
	return nil
}

// patient asks the hub and reads the file of links, as far as they are there.
func (o *doctorOptions) patient(ctx context.Context) (p doctor.Patient, err error) {
	p.Path = o.hub.config
	if err := o.ask(ctx, &p); err != nil {
		return p, err
	}
	unsaid := o.hub.config == "" && o.hub.api == "" && os.Getenv("SERIALHUB_API") == ""
	if p.HubError != nil && unsaid {
		if _, err := os.Stat(defaultConfig); err == nil { // it may say that the hub is elsewhere
			p.Path, o.hub.config = defaultConfig, defaultConfig
			if err := o.ask(ctx, &p); err != nil {
				return p, err
			}
		}
	}
	if p.Path == "" && p.Status != nil {
		p.Path = p.Status.Config
	}
	if p.Path == "" {
		return p, fmt.Errorf("%w; to look at a file of links without a hub: serialhub doctor -c FILE", p.HubError)
	}
	if p.Path, err = filepath.Abs(p.Path); err != nil {
		return p, err
	}
	p.Config, err = config.Load(p.Path)
	switch {
	case err == nil:
		p.Need = need(p.Config.Links)
	case (p.Status != nil || p.Refused) && isUnreadable(err): // the hub tells the most of it, or nobody does
		p.Config = nil
	default:
		return p, err
	}
	return p, nil
}

// ask has the hub tell of itself. It returns an error only if it was not said well where the hub is.
func (o *doctorOptions) ask(ctx context.Context, p *doctor.Patient) error {
	hub, err := o.hub.client()
	if err != nil {
		if o.hub.config == "" || o.hub.api != "" {
			return err
		}
		p.HubError = err // the API is off, or elsewhere; the faults of the file are told later
		return nil
	}
	defer hub.Close()
	status, err := hub.Status(ctx)
	if err == nil {
		p.Links, err = hub.Links(ctx)
	}
	p.HubError = err
	if nobody := (*client.NoHubError)(nil); err != nil {
		p.Refused = !errors.As(err, &nobody)
		return nil
	}
	p.Status = &status
	return nil
}

// isUnreadable tells whether a config could not be read because this user may not read it, or a file that it names.
func isUnreadable(err error) bool {
	if errors.Is(err, fs.ErrPermission) {
		return true
	}
	var faults *config.Faults
	return errors.As(err, &faults) && !slices.ContainsFunc(faults.List, func(f config.Fault) bool {
		return !strings.Contains(f.Message, fs.ErrPermission.Error())
	})
}

// known refuses a name that no link has.
func known(p doctor.Patient, names []string) error {
	if p.Status == nil && p.Config == nil {
		return nil // nobody can tell
	}
	var all []string
	if p.Status != nil {
		for _, link := range p.Links {
			all = append(all, link.Name)
		}
	} else if p.Config != nil {
		for _, link := range p.Config.Links {
			all = append(all, link.Name)
		}
	}
	for _, name := range names {
		if slices.Contains(all, name) {
			continue
		}
		if near := nearest.Names(name, all); len(near) > 0 {
			return fmt.Errorf("there is no link %q; did you mean %s?", name, nearest.List(near))
		}
		return fmt.Errorf("there is no link %q", name)
	}
	return nil
}

func notes(findings []doctor.Finding) (n int) {
	for _, f := range findings {
		if f.Severity == doctor.Note {
			n++
		}
	}
	return n
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// tell writes the findings for people: by link, each with the lines to type.
func tell(style table.Style, findings []doctor.Finding) string {
	var b strings.Builder
	heading := ""
	for i, f := range findings {
		of := f.Link
		if of == "" {
			of = "the hub and this machine"
		}
		if i == 0 || of != heading {
			if i > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "%s:\n", render.Escape(of))
			heading = of
		}
		text := string(f.Severity) + " (" + f.Check + ")"
		if f.End != "" {
			text += ", end " + f.End
		}
		for _, line := range style.Wrap("  " + text + ": " + render.Escape(f.Message)) {
			b.WriteString(line + "\n")
		}
		for _, line := range f.Fix { // never cut, and nothing beside it: to be copied
			if shown := render.Escape(line); shown != strings.ReplaceAll(line, `\`, `\\`) { // a terminal would not show what a shell reads
				line = "# not to be copied, it has characters that cannot be seen: " + shown
			}
			b.WriteString("        " + line + "\n")
		}
	}
	if len(findings) > notes(findings) {
		return b.String()
	}
	if len(findings) > 0 {
		b.WriteByte('\n')
	}
	var looked []string
	for _, check := range doctor.Checks() {
		looked = append(looked, check.What)
	}
	for _, line := range style.Wrap("Nothing is wrong. Looked at: " + strings.Join(looked, "; ") + ".") {
		b.WriteString(line + "\n")
	}
	return b.String()
}
