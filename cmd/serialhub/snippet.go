package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"serialhub/internal/address"
	"serialhub/internal/config"
	"serialhub/internal/nearest"
	"serialhub/internal/rest"
	"serialhub/internal/snippet"
)

type snippetOptions struct {
	hub        hubOptions
	hypervisor string
	end        string
	choices    snippet.Choices
}

func snippetCommand() *cobra.Command {
	var options snippetOptions
	cmd := &cobra.Command{
		Use:   "snippet LINK --for HYPERVISOR --end END",
		Short: "Print what goes into a VM's config, so that its serial port meets the hub at an end",
		Long: `Snippet prints the lines for the VM's side of an end: options of QEMU and cloud-hypervisor, a
line of xl's config, an element of libvirt's XML, a command for VirtualBox. The standard
output has nothing but these. Where they go, and what to beware of, is told on the standard
error.

With -c it reads the file of links, and no hub has to run; without, it asks the hub. If an end
cannot be met by that hypervisor, it says what the file would have to say instead.`,
		Example: `  serialhub snippet dbg --for libvirt --end a
  serialhub snippet dbg --for xen --end a -c links.yaml >> /etc/xen/vm.cfg
  serialhub snippet dbg --for virtualbox --end b --port 2 --vm win7
  qemu-system-x86_64 -m 2048 vm.qcow2 $(serialhub snippet dbg --for qemu --end a)`,
		Args: oneLink,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := options.check(cmd); err != nil {
				return err
			}
			return options.run(cmd, args[0])
		},
	}
	options.hub.add(cmd)
	flags := cmd.Flags()
	flags.Lookup("config").Usage = "the file of links: read instead of asking a hub, unless --api says where one is"
	flags.StringVar(&options.hypervisor, "for", "", nearest.List(hypervisors())+" (required)")
	flags.StringVar(&options.end, "end", "", "a or b: the end that the VM is at (required)")
	flags.IntVar(&options.choices.Port, "port", 1, "which serial port of the VM: 1 is COM1 and ttyS0")
	flags.StringVar(&options.choices.VM, "vm", "", "the VM's name, for VirtualBox (else NAME, for you to change)")
	flags.StringVar(&options.choices.Host, "host", "", "with TCP and TLS: the address by which the VM's host reaches the hub, or at which the VM listens (else as the end says)")
	flags.StringVar(&options.choices.Certificates, "tls-dir", "/etc/qemu-tls", "with TLS: the folder of QEMU's certificates")
	flags.Uint32Var(&options.choices.CID, "cid", 0, "with vsock: the VM's context (else as the end says, or 3)")
	flags.BoolVar(&options.choices.Milliseconds, "reconnect-ms", false, "say reconnect-ms=1000 instead of reconnect=1, for QEMU 9.2 and later")
	complete(cmd, "for", hypervisors()...)
	complete(cmd, "port", "1", "2", "3", "4")
	for _, flag := range []string{"vm", "host", "cid"} {
		complete(cmd, flag)
	}
	cmd.MarkFlagDirname("tls-dir") //nolint:errcheck // the flag is there
	links := cmd.ValidArgsFunction
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if options.fromFile() && len(args) == 0 {
			return options.linksOfFile(), cobra.ShellCompDirectiveNoFileComp
		}
		return links(cmd, args, word)
	}
	return cmd
}

// hypervisors are those that a snippet can be for.
func hypervisors() (names []string) {
	for _, hypervisor := range snippet.Hypervisors() {
		names = append(names, string(hypervisor))
	}
	return names
}

func (o *snippetOptions) check(cmd *cobra.Command) error {
	if o.hypervisor == "" {
		return fmt.Errorf("for which hypervisor? Write --for with %s", nearest.List(hypervisors()))
	}
	if !slices.Contains(hypervisors(), o.hypervisor) {
		meant := hypervisors()
		if near := nearest.Names(o.hypervisor, meant); len(near) > 0 {
			return fmt.Errorf("--for: %q is not one; did you mean %s?", o.hypervisor, nearest.List(near))
		}
		return fmt.Errorf("--for: %q is not one; there are %s", o.hypervisor, nearest.List(meant))
	}
	if port := o.choices.Port; port < 1 || port > snippet.Ports {
		return fmt.Errorf("--port: a VM has serial ports from 1 to %d, and no port %d", snippet.Ports, port)
	}
	for _, flag := range []string{"vm", "host", "tls-dir", "cid"} {
		if f := cmd.Flags().Lookup(flag); f.Changed && (f.Value.String() == "" || f.Value.String() == "0") {
			return fmt.Errorf("--%s is empty", flag)
		}
	}
	return checkEnd("end", o.end)
}

// fromFile tells whether the file is asked, not a hub.
func (o *snippetOptions) fromFile() bool { return o.hub.config != "" && o.hub.api == "" }

func (o *snippetOptions) run(cmd *cobra.Command, link string) error {
	find := o.asked
	if o.fromFile() {
		find = o.read
	}
	end, err := find(link)
	if err != nil {
		return err
	}
	written, err := snippet.For(snippet.Hypervisor(o.hypervisor), end, o.choices)
	if err != nil {
		return &failure{err}
	}
	for _, text := range written.Notes {
		note(os.Stderr, "%s", text)
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), written.Text)
	return err
}

// read takes the end from the file of links.
func (o *snippetOptions) read(link string) (snippet.End, error) {
	c, err := config.Load(o.hub.config)
	if err != nil {
		return snippet.End{}, err
	}
	var names []string
	for _, l := range c.Links {
		if l.Name != link {
			names = append(names, l.Name)
			continue
		}
		end := l.A
		if o.end == "b" {
			end = l.B
		}
		return snippet.End{
			Link: link, Name: o.end, Address: end.Address, Connects: end.Connects,
			Known: true, Mode: end.Mode, Group: end.Group, NamedUIDs: len(end.AllowUIDs) > 0,
		}, nil
	}
	if near := nearest.Names(link, names); len(near) > 0 {
		return snippet.End{}, &failure{fmt.Errorf("%s has no link %q; did you mean %s?", o.hub.config, link, nearest.List(near))}
	}
	return snippet.End{}, &failure{fmt.Errorf("%s has no link %q; it has %d others", o.hub.config, link, len(names))}
}

// linksOfFile names the links of the file, for a shell; none if it cannot be read.
func (o *snippetOptions) linksOfFile() (names []cobra.Completion) {
	c, err := config.Load(o.hub.config)
	if err != nil {
		return nil
	}
	for _, link := range c.Links {
		names = append(names, link.Name)
	}
	return names
}

// asked takes the end from the hub.
func (o *snippetOptions) asked(link string) (snippet.End, error) {
	hub, err := o.hub.client()
	if err != nil {
		return snippet.End{}, err
	}
	defer hub.Close()
	shown, err := hub.Link(context.Background(), link)
	if err != nil {
		return snippet.End{}, outcome(err)
	}
	end := shown.Ends[o.end]
	at, err := addressOf(end)
	if err != nil {
		return snippet.End{}, &failure{fmt.Errorf("end %s of link %s: the hub has an address that this program does not know: %w", o.end, link, err)}
	}
	return snippet.End{Link: link, Name: o.end, Address: at, Connects: end.Mode == rest.ModeConnect}, nil
}

// addressOf reads the address of an end as the API shows it, where no path is relative.
func addressOf(end rest.End) (address.Address, error) {
	switch end.Mode {
	case rest.ModePTY:
		return address.ParseFile(address.PTY, end.Address, "/")
	case rest.ModeDevice:
		return address.ParseFile(address.Device, end.Address, "/")
	case rest.ModeListen, rest.ModeConnect:
		return address.Parse(end.Address, "/")
	default:
		return address.Address{}, errors.New("mode " + string(end.Mode))
	}
}
