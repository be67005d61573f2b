package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"serialhub/internal/nearest"
	"serialhub/internal/rest"
)

// secondCallTime is how long the names of the links may take, once it is known that one of them was mistyped.
const secondCallTime = 2 * time.Second

// explain reads an answer that is not the one that was asked for, and says what a person can do about it where the hub cannot know that: it does not see
// the command line.
func (c *Client) explain(ctx context.Context, request *http.Request, response *http.Response, body []byte) error {
	refused := c.problem(response, body)
	p := (*Problem)(nil)
	if !errors.As(refused, &p) {
		return refused
	}
	switch p.Type {
	case rest.ProblemNoSuchLink:
		c.explainName(ctx, linkOf(request.URL), p)
	case rest.ProblemUnauthorized:
		c.explainToken(p, rest.RoleFor(request.Method, request.URL.EscapedPath()))
	case rest.ProblemForbidden:
		if c.token != "" && response.Header.Get("WWW-Authenticate") != "" { // another token would do
			p.Detail += fmt.Sprintf("; the token is %s, and another one can be given by %s", c.tokenFrom(), howToken)
		}
	}
	return p
}

// linkOf is the name of the link that a call is about; "" if it is about none.
func linkOf(address *url.URL) string {
	rest, found := strings.CutPrefix(address.EscapedPath(), "/links/")
	if !found {
		return address.Query().Get("link")
	}
	escaped, _, _ := strings.Cut(rest, "/")
	name, err := url.PathUnescape(escaped)
	if err != nil {
		return escaped
	}
	return name
}

// explainName tells which links there are that may have been meant.
func (c *Client) explainName(ctx context.Context, name string, p *Problem) {
	if name == "" {
		return
	}
	limited, cancel := context.WithTimeout(ctx, secondCallTime)
	defer cancel()
	links, err := c.Links(limited)
	if err != nil {
		return // what the hub has said has to be enough
	}
	names := make([]string, len(links))
	for i, link := range links {
		names[i] = link.Name
	}
	p.Detail = fmt.Sprintf("there is no link %q; ", name)
	switch near := nearest.Names(name, names); {
	case len(near) > 0:
		p.Detail += "did you mean " + nearest.List(near) + "?"
	case len(names) == 0:
		p.Detail += "the hub has none"
	case len(names) == 1:
		p.Detail += "the only one is " + names[0]
	default:
		p.Detail += fmt.Sprintf("there are %d, and `serialhub status` lists them", len(names))
	}
}

const howToken = "--token-file FILE or SERIALHUB_TOKEN"

// explainToken is about a caller of whom the hub does not know who it is.
func (c *Client) explainToken(p *Problem, role string) {
	if c.token == "" {
		unreadable := ""
		if c.place.TokenBy != "" {
			unreadable = ", and " + c.place.TokenBy + " cannot be read"
		}
		p.Detail = fmt.Sprintf("the hub at %s wants a token with the role %s%s: give it by %s", c.place.list(), role, unreadable, howToken)
		return
	}
	p.Detail = fmt.Sprintf("the hub at %s does not know the token %s; it wants one with the role %s, by %s", c.place.list(), c.tokenFrom(), role, howToken)
}

// tokenFrom says where the token is from.
func (c *Client) tokenFrom() string {
	if c.place.TokenBy == "" {
		return "that it was shown"
	}
	return "from " + c.place.TokenBy
}
