package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"serialhub/internal/access"
	"serialhub/internal/rest"
)

// guard refuses what a web page could make a browser send to a hub on its user's machine: requests from another site,
// and requests under a name that an attacker has pointed at this address (DNS rebinding).
func (d *door) guard(next echo.HandlerFunc) echo.HandlerFunc {
	crossOrigin := http.NewCrossOriginProtection()
	return func(c echo.Context) error {
		r := c.Request()
		refuse := func(kind rest.ProblemType, format string, args ...any) error {
			return d.refuse(c, access.Caller{Who: "unknown", From: r.RemoteAddr}, newProblem(kind, format, args...))
		}
		if !knownHost(r) {
			return refuse(rest.ProblemForeignHost,
				"%q is not a name of this hub; ask for localhost, for the address that it listens on, or for a name in api.listen or in its certificate", r.Host)
		}
		// A plain GET resets a link, so each request is judged as one that changes something.
		unsafe := &http.Request{Method: http.MethodPost, Header: r.Header, Host: r.Host, URL: r.URL}
		if err := crossOrigin.Check(unsafe); err != nil {
			return refuse(rest.ProblemCrossSite, "a web page of another site may not call this hub")
		}
		return next(c)
	}
}

// knownHost tells whether the request's Host is localhost, the address that the request came in at, or a name that the config has for the hub. A
// browser cannot reach a unix socket, so there any name will do.
func knownHost(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return true
	}
	to := local.AddrPort()
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip == to.Addr().Unmap().WithZone("") {
		return true
	}
	conn, known := r.Context().Value(connKey{}).(*connection)
	return known && host != "" && conn.front.terms.Load().knows(host)
}
