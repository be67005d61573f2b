package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"serialhub/internal/rest"
)

const (
	// mostScrapes is how many callers get metrics at once, at most: those of ten thousand links take 100 MB until the caller has read them.
	mostScrapes = 4
	// scrapeWait is how long one waits for his turn.
	scrapeWait = 5 * time.Second
)

// scrapes are the answers with metrics that are under way.
type scrapes struct {
	handler  http.Handler
	underWay chan struct{}
}

func newScrapes(handler http.Handler) *scrapes {
	return &scrapes{handler, make(chan struct{}, mostScrapes)}
}

func (s *scrapes) answer(c echo.Context) error {
	turn := time.NewTimer(scrapeWait)
	defer turn.Stop()
	select {
	case s.underWay <- struct{}{}:
		defer func() { <-s.underWay }()
		return echo.WrapHandler(s.handler)(c)
	case <-turn.C:
		return tooMany(rest.ProblemTooManyConnections, "callers that read its metrics")
	case <-c.Request().Context().Done():
		return c.Request().Context().Err()
	}
}
