package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"serialhub/internal/rest"
)

// output is how a command writes its result.
type output string

// addOutput adds the flag that chooses it; plain is the way for people.
func (o *output) add(cmd *cobra.Command, plain string) {
	cmd.Flags().StringVarP((*string)(o), "output", "o", plain, plain+", or json: as the API says it")
	complete(cmd, "output", plain, "json")
}

// check refuses what is neither.
func (o *output) check(plain string) error {
	if *o != output(plain) && *o != "json" {
		return fmt.Errorf("--output: %q is not one; there are %s and json", *o, plain)
	}
	return nil
}

func (o *output) isJSON() bool { return *o == "json" }

// writeJSON writes as the API does. Characters that a terminal may obey, or does not show, are escaped; that changes nothing of what they mean.
func writeJSON(w io.Writer, shown any) error {
	text, err := json.MarshalIndent(shown, "", "  ")
	if err != nil {
		return err
	}
	var safe bytes.Buffer
	for _, r := range string(text) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			safe.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&safe, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&safe, `\u%04x`, r)
		}
	}
	safe.WriteByte('\n')
	_, err = w.Write(safe.Bytes())
	return err
}

// writeLinks writes one link as the API shows one, and any other number as it shows many.
func writeLinks(w io.Writer, names []string, links []rest.Link) error {
	if len(names) == 1 {
		return writeJSON(w, links[0])
	}
	return writeJSON(w, rest.Links{Links: links})
}
