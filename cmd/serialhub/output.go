package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"serialhub/internal/rest"
)

// output is how a command writes its result.
type output string

// add adds the flag that chooses it; plain is the way for people, and what tells what comes as JSON.
func (o *output) add(cmd *cobra.Command, plain, what string) {
	cmd.Flags().StringVarP((*string)(o), "output", "o", plain, plain+", or json: "+what)
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

// asAPI is what the JSON of a call's result is.
const asAPI = "as the API says it"

// writeJSON writes as the API does.
func writeJSON(w io.Writer, shown any) error {
	text, err := json.MarshalIndent(shown, "", "  ")
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, escapeJSON(string(text))+"\n")
	return err
}

// escapeJSON has the characters of a JSON text that a terminal may obey, or does not show, in JSON's own escapes. That changes nothing of what they mean.
func escapeJSON(text string) string {
	var safe strings.Builder
	for _, r := range text {
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
	return safe.String()
}

// writeLinks writes one link as the API shows one, and any other number as it shows many.
func writeLinks(w io.Writer, names []string, links []rest.Link) error {
	if len(names) == 1 {
		return writeJSON(w, links[0])
	}
	return writeJSON(w, rest.Links{Links: links})
}
