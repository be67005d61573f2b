package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"iter"
	"net/http"

	"github.com/labstack/echo/v4"

	"serialhub/internal/supervisor"
)

// answerLinks writes {"links": […]} as answer would, but one link after the other: to indent ten thousand at once takes six times the
// memory of the text, and most of the time; and who reads slowly holds up no more than the page that is on its way to him.
func answerLinks(c echo.Context, links iter.Seq[supervisor.Link]) error {
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	c.Response().WriteHeader(http.StatusOK)
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("    ", "  ")
	out := bufio.NewWriterSize(c.Response(), 32<<10) // keeps the first error, which Flush returns
	between, end := "{\n  \"links\": [\n    ", "{\n  \"links\": []\n}\n"
	for l := range links {
		text.Reset()
		if err := encoder.Encode(showLink(l)); err != nil {
			return err
		}
		out.WriteString(between)                                //nolint:errcheck // see above
		out.Write(bytes.TrimSuffix(text.Bytes(), []byte("\n"))) //nolint:errcheck // see above
		between, end = ",\n    ", "\n  ]\n}\n"
	}
	out.WriteString(end) //nolint:errcheck // see above
	return out.Flush()
}
