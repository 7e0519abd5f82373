package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// lineMost is how long a status line may be. It is all that is read of an answer.
const lineMost = 1024

// statusPrefix begins every answer of HTTP/1 (RFC 9112 section 4).
const statusPrefix = "HTTP/1."

// askHTTP sends a GET request and reads the status line.
func askHTTP(ctx context.Context, q question) (err error) {
	conn, err := q.tcp(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	defer bind(ctx, conn)()
	line, err := exchange(conn, request(q))
	if err != nil {
		return err
	}
	return judge(line, q.Status)
}

// request is the whole request.
func request(q question) []byte {
	host := q.VHost
	switch {
	case host == "" && q.Port == 80:
		host = q.addr.String()
	case host == "":
		host = q.to().String()
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: fairlead\r\nAccept: */*\r\nConnection: close\r\n\r\n", q.URI, host)
}

// exchange sends a request and returns the status line of its answer.
func exchange(conn net.Conn, request []byte) (string, error) {
	const asked = "an HTTP request"
	if _, err := conn.Write(request); err != nil {
		return "", wrong{asked: asked, cause: err}
	}
	line := make([]byte, 0, lineMost)
	for {
		n, err := conn.Read(line[len(line):cap(line)])
		line = line[:len(line)+n]
		before, _, whole := bytes.Cut(line, []byte("\n"))
		switch {
		case whole && bytes.HasPrefix(line, []byte(statusPrefix)):
			return strings.TrimRight(string(before), "\r"), nil
		case len(line) == lineMost, len(line) > 0 && !isPrefix(line):
			return "", wrong{said: fmt.Sprintf("answers an HTTP request with something that is not HTTP: %.32q", line)}
		case err != nil:
			return "", wrong{asked: asked, cause: err}
		}
	}
}

// isPrefix tells whether an answer may still become HTTP.
func isPrefix(line []byte) bool {
	n := min(len(line), len(statusPrefix))
	return string(line[:n]) == statusPrefix[:n]
}

// judge tells whether the status is the one that is wanted; 0: 200 to 399.
func judge(line string, want int) error {
	_, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	switch {
	case err != nil || len(code) != 3:
		return wrong{said: fmt.Sprintf("answers an HTTP request with something that is not HTTP: %.32q", line)}
	case want == 0 && status >= 200 && status < 400, status == want:
		return nil
	case want == 0:
		return wrong{said: fmt.Sprintf("answers an HTTP request with the status %d, not with 200 to 399", status)}
	}
	return wrong{said: fmt.Sprintf("answers an HTTP request with the status %d, not with %d", status, want)}
}
