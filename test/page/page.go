// Package page takes out of the project's pages (README.md, docs) what its tests run: blocks of commands and of config, and links.
package page

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	table "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// Page is a page of Markdown, as GitHub shows it.
type Page struct {
	Path   string
	Blocks []Block // in their order
	Links  []Link
	Spans  []Span
	Rows   []Row
	IDs    []string // of its headings, which a link may name after #
}

// Span is a piece of code within a paragraph, a list or a table.
type Span struct {
	Line int // of the block that it stands in, from 1
	Text string
}

// Row is a row of a table, but for its head.
type Row struct {
	Line  int
	Cells []Cell
}

// Cell is one of a row's cells.
type Cell struct {
	Text  string   // without the marks
	Spans []string // the pieces of code in it
}

// Block is one of a page's fenced blocks.
type Block struct {
	Line     int    // of its first line of text, from 1
	Heading  string // under which it stands; "" before the first
	Language string // after the fence: sh, console, yaml, …
	Before   string // the paragraph just before it, as plain text; "" if there is none
	Text     string
}

// Link is a link or a picture.
type Link struct {
	Line   int    // of the block that it stands in, from 1
	Target string // as it is written
}

// Read reads a page.
func Read(path string) (*Page, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &Page{Path: path}
	markdown := goldmark.New(goldmark.WithExtensions(extension.GFM))
	root := markdown.Parser().Parse(text.NewReader(source))
	heading := ""
	line := func(at int) int { return 1 + bytes.Count(source[:at], []byte("\n")) }
	within := 1 // the line of the block that is being walked
	err = ast.Walk(root, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		if node.Type() == ast.TypeBlock && node.Lines().Len() > 0 {
			within = line(node.Lines().At(0).Start)
		}
		switch node := node.(type) {
		case *ast.Heading:
			heading = plain(node, source)
			p.IDs = append(p.IDs, p.newID(heading))
		case *ast.FencedCodeBlock:
			block := Block{Line: within, Heading: heading, Language: string(node.Language(source)), Text: string(node.Lines().Value(source))}
			if paragraph, is := node.PreviousSibling().(*ast.Paragraph); is {
				block.Before = plain(paragraph, source)
			}
			p.Blocks = append(p.Blocks, block)
		case *ast.Link:
			p.Links = append(p.Links, Link{within, string(node.Destination)})
		case *ast.Image:
			p.Links = append(p.Links, Link{within, string(node.Destination)})
		case *ast.AutoLink:
			p.Links = append(p.Links, Link{within, string(node.URL(source))})
		case *ast.CodeSpan:
			p.Spans = append(p.Spans, Span{within, plain(node, source)})
		case *table.TableRow:
			row := Row{}
			for cell := node.FirstChild(); cell != nil; cell = cell.NextSibling() {
				if lines := cell.Lines(); row.Line == 0 && lines.Len() > 0 {
					row.Line = line(lines.At(0).Start)
				}
				row.Cells = append(row.Cells, Cell{plain(cell, source), spans(cell, source)})
			}
			p.Rows = append(p.Rows, row)
		}
		return ast.WalkContinue, nil
	})
	return p, err
}

// newID is what GitHub makes of a heading: letters, digits, hyphens and underscores, and a number if that was there before.
func (p *Page) newID(heading string) string {
	id := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		default:
			return -1
		}
	}, heading)
	for n := 0; ; n++ {
		numbered := id
		if n > 0 {
			numbered = fmt.Sprintf("%s-%d", id, n)
		}
		if !slices.Contains(p.IDs, numbered) {
			return numbered
		}
	}
}

// spans are the pieces of code in a node.
func spans(node ast.Node, source []byte) (texts []string) {
	_ = ast.Walk(node, func(node ast.Node, entering bool) (ast.WalkStatus, error) { // it returns what the function does: no error
		if span, is := node.(*ast.CodeSpan); is && entering {
			texts = append(texts, plain(span, source))
		}
		return ast.WalkContinue, nil
	})
	return texts
}

// plain is the text of a node, without its marks.
func plain(node ast.Node, source []byte) string {
	var out strings.Builder
	_ = ast.Walk(node, func(node ast.Node, entering bool) (ast.WalkStatus, error) { // it returns what the function does: no error
		switch node := node.(type) {
		case *ast.Text:
			if entering {
				out.Write(node.Value(source))
				if node.SoftLineBreak() {
					out.WriteByte(' ')
				}
			}
		case *ast.String:
			if entering {
				out.Write(node.Value)
			}
		}
		return ast.WalkContinue, nil
	})
	return out.String()
}

// Commands are the commands of a block of sh or console, one after the other, each with the lines that continue it (a backslash at the end, a
// quote or a here-document that is still open). Of a console block they are what stands after “$ ” or “# ” at the beginning of a line, and Output is
// what stands under it.
func (b Block) Commands() (commands []Command) {
	if b.Language == "console" {
		for i, line := range strings.Split(strings.TrimSuffix(b.Text, "\n"), "\n") {
			if said, is := strings.CutPrefix(line, "$ "); is {
				commands = append(commands, Command{Line: b.Line + i, Text: said})
			} else if said, is := strings.CutPrefix(line, "# "); is {
				commands = append(commands, Command{Line: b.Line + i, Text: said})
			} else if len(commands) > 0 {
				last := &commands[len(commands)-1]
				last.Output = append(last.Output, line)
			}
		}
		return commands
	}
	var until func(line string) bool // whether the line ends what is open; nil if nothing is
	for i, line := range strings.Split(strings.TrimSuffix(b.Text, "\n"), "\n") {
		if until != nil {
			last := &commands[len(commands)-1]
			last.Text += "\n" + line
			if until(line) {
				until = nil
			}
			continue
		}
		if trimmed := strings.TrimSpace(line); trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		commands = append(commands, Command{Line: b.Line + i, Text: line})
		until = open(line)
	}
	return commands
}

// open says what ends a command that a line does not end; nil if it does.
func open(line string) func(string) bool {
	continues := func(line string) bool { return strings.HasSuffix(strings.TrimRight(line, " "), `\`) }
	if _, word, is := strings.Cut(line, "<<"); is && !strings.HasPrefix(word, "<") {
		word = strings.Trim(strings.Fields(strings.TrimPrefix(word, "-"))[0], `'"`)
		return func(line string) bool { return strings.TrimSpace(line) == word }
	}
	if strings.Count(line, "'")%2 == 1 {
		return func(line string) bool { return strings.Count(line, "'")%2 == 1 }
	}
	if continues(line) {
		return func(line string) bool { return !continues(line) }
	}
	return nil
}

// Command is one command of a block.
type Command struct {
	Line   int      // in the page, from 1
	Text   string   // without the prompt; several lines if it goes on
	Output []string // what the page shows that it prints; console blocks only
}
