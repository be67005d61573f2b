// Command apilint checks the description of the API, the first argument, by the rules that the second argument, a file, leaves on.
// Whatever they find makes it fail.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	rules "github.com/speakeasy-api/openapi/linter"
	"github.com/speakeasy-api/openapi/openapi"
	"github.com/speakeasy-api/openapi/openapi/linter"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "apilint DOCUMENT RULES")
		os.Exit(2)
	}
	if err := check(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "apilint:", err)
		os.Exit(1)
	}
}

func check(ctx context.Context, path, rulesPath string) error {
	config, err := rules.LoadConfigFromFile(rulesPath)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	document, faults, err := openapi.Unmarshal(ctx, file)
	if err != nil {
		return err
	}
	judge, err := linter.NewLinter(config)
	if err != nil {
		return err
	}
	output, err := judge.Lint(ctx, rules.NewDocumentInfo(document, path), faults, nil)
	if err != nil {
		return err
	}
	if len(output.Results) > 0 {
		fmt.Println(output.FormatText())
		return errors.New("what is found there is to be mended, or its rule to be turned off with a reason in " + rulesPath)
	}
	return nil
}
