package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"serialhub/internal/access"
	"serialhub/internal/client"
	"serialhub/internal/config"
)

// hubOptions say where the hub is that a command talks to, and how the two know each other.
type hubOptions struct {
	api, config, tokenFile string
	tls                    client.TLSFiles
}

func (o *hubOptions) add(cmd *cobra.Command) {
	cmd.ValidArgsFunction = o.completeLinks
	flags := cmd.Flags()
	flags.StringVar(&o.api, "api", "", "where the hub is: host:port, https://host:port or unix:/path (else $SERIALHUB_API, else what -c says, else "+client.Default().String()+")")
	flags.StringVarP(&o.config, "config", "c", "", "the hub's file of links: the hub is at its api.listen")
	flags.StringVar(&o.tokenFile, "token-file", "", "file with the token that the hub wants, as api.token_file (else $SERIALHUB_TOKEN)")
	flags.StringVar(&o.tls.CA, "ca", "", "PEM file of who has signed the hub's certificate (else $SERIALHUB_CA, else whom the system trusts)")
	flags.StringVar(&o.tls.Cert, "cert", "", "PEM file of a certificate, for a hub that wants one of its clients (else $SERIALHUB_CERT)")
	flags.StringVar(&o.tls.Key, "key", "", "PEM file of the key to it (else $SERIALHUB_KEY)")
}

// client makes a client of the hub that the options, or the environment, name.
func (o *hubOptions) client() (*client.Client, error) {
	place, said, err := o.place()
	if err != nil {
		return nil, err
	}
	token, by, err := o.token(said)
	if err != nil {
		return nil, err
	}
	files := o.tls
	files.CA = cmp.Or(files.CA, os.Getenv("SERIALHUB_CA"))
	if files.Cert == "" && files.Key == "" { // both from one place
		files.Cert, files.Key = os.Getenv("SERIALHUB_CERT"), os.Getenv("SERIALHUB_KEY")
	}
	if said != nil {
		files.Exactly = said.Cert
	}
	if slices.ContainsFunc(place.Addresses, func(a client.Address) bool { return a.TLS }) { // else the files do not matter
		if place.TLS, err = files.Config(); err != nil {
			return nil, err
		}
	}
	place.TokenBy = by
	return client.New(place, token), nil
}

// place finds out where the hub is, and what the file says of it if it is the file that says where.
func (o *hubOptions) place() (client.Place, *config.Place, error) {
	for _, said := range []struct{ by, text string }{{"--api", o.api}, {"SERIALHUB_API", os.Getenv("SERIALHUB_API")}} {
		if said.text == "" {
			continue
		}
		address, err := client.ParseAddress(said.text)
		if err != nil {
			return client.Place{}, nil, fmt.Errorf("%s: %w", said.by, err)
		}
		return client.Place{Addresses: []client.Address{address}, By: "by " + said.by}, nil, nil
	}
	if o.config == "" {
		return client.Place{Addresses: []client.Address{client.Default()}, By: "by default"}, nil, nil
	}
	said, err := config.LoadPlace(o.config)
	if err != nil {
		return client.Place{}, nil, err
	}
	place := client.Place{By: "by api.listen of " + o.config}
	for _, address := range said.Listen {
		if _, port, err := net.SplitHostPort(address.Address); address.Network != "unix" && (err != nil || port == "0") {
			continue // whichever port was free: only the hub knows it
		}
		secure := address.Network != "unix" && said.Cert != ""
		place.Addresses = append(place.Addresses, client.Address{Network: address.Network, Address: address.Address, TLS: secure})
	}
	if len(place.Addresses) == 0 {
		return client.Place{}, nil, fmt.Errorf("the api.listen of %s has no address where a hub can be found; say with --api ADDRESS where it is", o.config)
	}
	return place, said, nil
}

// token finds the token, and says where it is from. That in a file of links is taken if nothing else was said; if it cannot be read, there is none.
func (o *hubOptions) token(said *config.Place) (token, by string, err error) {
	if o.tokenFile != "" {
		token, err := readToken(o.tokenFile)
		if err != nil {
			return "", "", fmt.Errorf("--token-file: %w", err)
		}
		return token, o.tokenFile, nil
	}
	if token := strings.TrimSpace(os.Getenv("SERIALHUB_TOKEN")); token != "" {
		if !access.IsToken(token) {
			return "", "", errors.New("SERIALHUB_TOKEN: a token is one word of printable ASCII")
		}
		return token, "SERIALHUB_TOKEN", nil
	}
	if said == nil || said.TokenFile == "" {
		return "", "", nil
	}
	token, err = readToken(said.TokenFile)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return "", said.TokenFile, nil // a unix socket needs none
	}
	return token, said.TokenFile, err
}

// readToken reads a file of tokens, as the hub has one, and picks the one that may most.
func readToken(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	tokens, faults := access.ParseTokens(string(text))
	if len(faults) > 0 {
		return "", fmt.Errorf("%s: %s", path, faults[0])
	}
	return access.Pick(tokens).Secret, nil
}

// outcome tells a failure from a call that was wrong: the exit codes differ.
func outcome(err error) error {
	var problem *client.Problem
	if err == nil || errors.As(err, &problem) && (problem.Status == http.StatusBadRequest || problem.Status == http.StatusRequestEntityTooLarge) {
		return err
	}
	return &failure{err}
}

// oneLink takes the name of a link as the only argument.
func oneLink(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return fmt.Errorf("which link? Name it: %s", cmd.UseLine())
	case len(args) > 1:
		return fmt.Errorf("%s takes one link, and %q is one word too many", cmd.Name(), args[1])
	}
	return checkLink(args[0])
}

// nothing takes no arguments.
func nothing(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, and %q is one", cmd.Name(), args[0])
	}
	return nil
}

// anyLinks takes the names of links, or none.
func anyLinks(_ *cobra.Command, args []string) error {
	for _, name := range args {
		if err := checkLink(name); err != nil {
			return err
		}
	}
	return nil
}

// someLinks takes the names of links, one at least.
func someLinks(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("which link? Name it: %s", cmd.UseLine())
	}
	return anyLinks(cmd, args)
}

// explainTime says what a time looks like, to who has written something else; usual are examples.
func explainTime(cmd *cobra.Command, flag, usual string) {
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		if invalid := (*pflag.InvalidValueError)(nil); errors.As(err, &invalid) && invalid.GetFlag().Name == flag {
			return fmt.Errorf("--%s: %q is not a time; write a number with its unit, %s", flag, invalid.GetValue(), usual)
		}
		return err
	})
}

// checkLink refuses what would be another path of the API than that of a link.
func checkLink(name string) error {
	if name == "" || name[0] == '.' {
		return fmt.Errorf("%q is not the name of a link", name)
	}
	return nil
}

// checkEnd refuses what is not an end; the flag is named in the error.
func checkEnd(flag, end string) error {
	if end == "" {
		return fmt.Errorf("which end? Write --%s a or --%[1]s b", flag)
	}
	if end != "a" && end != "b" {
		return fmt.Errorf("--%s: a link has no end %q; write a or b", flag, end)
	}
	return nil
}

// note tells the person at the terminal something that is not the command's result.
func note(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "serialhub: "+format+"\n", args...) //nolint:errcheck // nobody is left to be told
}
