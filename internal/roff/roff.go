// Package roff writes manual pages (man(7)). Only tests use it: they make the pages in packaging/man from what the program says of itself.
package roff

import (
	"fmt"
	"strings"
)

// Page is a manual page that is being written. What goes into it is plain text, whatever characters it has.
type Page struct{ out strings.Builder }

// NewPage begins a page: its name in capitals, its section, and what it is about in a line.
func NewPage(name string, section int, about string) *Page {
	p := &Page{}
	// Without a date: that of a build would make each build another one. Words are not divided: most that are long are typed.
	fmt.Fprintf(&p.out, ".\\\" made by make generate\n.TH %s %d \"\" serialhub \"serialhub\"\n.nh\n.ad l\n", strings.ToUpper(literal(name)), section)
	p.Section("NAME")
	p.fill(literal(name) + " \\- " + prose(about))
	return p
}

// Section begins a section.
func (p *Page) Section(title string) { fmt.Fprintf(&p.out, ".SH %s\n", prose(title)) }

// Subsection begins a part of a section.
func (p *Page) Subsection(title string) { fmt.Fprintf(&p.out, ".SS %s\n", literal(title)) }

// Text writes paragraphs, which blank lines part. Lines that begin with white space are shown as they are.
func (p *Page) Text(text string) {
	for i, paragraph := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		if i > 0 {
			p.out.WriteString(".PP\n")
		}
		if strings.HasPrefix(paragraph, " ") {
			p.verbatim(paragraph)
			continue
		}
		p.fill(prose(strings.Join(strings.Fields(paragraph), " ")))
	}
}

// Synopsis writes how a command is called; the first word is the program's.
func (p *Page) Synopsis(usage string) {
	for i, line := range strings.Split(usage, "\n") {
		if i > 0 {
			p.out.WriteString(".br\n")
		}
		program, rest, _ := strings.Cut(line, " ")
		fmt.Fprintf(&p.out, "\\fB%s\\fR %s\n", literal(program), literal(rest))
	}
}

// Example shows lines as they are.
func (p *Page) Example(text string) { p.verbatim(strings.Trim(text, "\n")) }

// Item explains a term: a flag, a key, a file.
func (p *Page) Item(term, text string) {
	fmt.Fprintf(&p.out, ".TP\n\\fB%s\\fR\n", literal(term))
	p.Text(text)
}

// String is the page's source.
func (p *Page) String() string { return p.out.String() }

// verbatim shows lines as they are, without what all of them begin with.
func (p *Page) verbatim(text string) {
	p.out.WriteString(".RS 4\n.nf\n")
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		p.line(literal(strings.TrimPrefix(line, "  ")))
	}
	p.out.WriteString(".fi\n.RE\n")
}

// fill writes a paragraph in lines that can be read in the source.
func (p *Page) fill(text string) {
	const width = 78
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			p.line(line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	p.line(line)
}

// line writes a line of text, which could be taken for a request.
func (p *Page) line(text string) {
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	p.out.WriteString(text + "\n")
}

// literal is text that can be typed as it is read: no hyphen is another dash, no quote a typographic one.
func literal(text string) string {
	return encode(text, map[rune]string{'\\': `\e`, '-': `\-`, '~': `\(ti`, '^': `\(ha`, '`': `\(ga`, '\'': `\(aq`, '"': `\(dq`})
}

// prose is text that is read. Words in it that begin with a hyphen are flags.
func prose(text string) string {
	words := strings.Split(text, " ")
	for i, word := range words {
		if bare := strings.TrimLeft(word, "($[{"); strings.HasPrefix(bare, "-") && len(bare) > 1 {
			words[i] = literal(word)
			continue
		}
		words[i] = encode(word, map[rune]string{'\\': `\e`, '~': `\(ti`, '^': `\(ha`, '`': `\(ga`, '\'': `\(aq`, '"': `\(dq`})
	}
	return strings.Join(words, " ")
}

func encode(text string, special map[rune]string) string {
	var out strings.Builder
	for _, r := range text {
		switch escape, is := special[r]; {
		case is:
			out.WriteString(escape)
		case r > '~':
			fmt.Fprintf(&out, `\[u%04X]`, r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}
