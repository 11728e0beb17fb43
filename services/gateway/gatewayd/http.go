package gatewayd

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/natter-io/natter/pkg/contract"
)

// maxLogin bounds the body of a sign-in.
const maxLogin = 4096

// signIn is POST /auth/login: the auth service's natter.auth.login over HTTP.
func signIn(login func(context.Context, []byte) ([]byte, error), log *slog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			refuse(w, http.StatusMethodNotAllowed, contract.CodeInvalid, "sign in with POST")
			return
		}
		// A form of another site can post text, but not JSON, without being asked first.
		if t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(t) != "application/json" {
			refuse(w, http.StatusUnsupportedMediaType, contract.CodeInvalid, "the body must be application/json")
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLogin))
		if err != nil {
			refuse(w, http.StatusRequestEntityTooLarge, contract.CodeInvalid, "the body is too large or broke off")
			return
		}
		var credentials struct {
			Name     string `json:"name"`
			Password string `json:"password"`
		}
		if json.Unmarshal(body, &credentials) != nil {
			refuse(w, http.StatusBadRequest, contract.CodeInvalid, `want {"name":…,"password":…}`)
			return
		}
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			host = r.RemoteAddr
		}
		request, err := json.Marshal(map[string]string{"name": credentials.Name, "password": credentials.Password, "address": host})
		if err != nil {
			refuse(w, http.StatusBadRequest, contract.CodeInvalid, "the credentials cannot be passed on")
			return
		}
		reply, err := login(r.Context(), request)
		if err != nil {
			log.Warn("nobody can sign in: the auth service does not answer", "error", err)
			refuse(w, http.StatusServiceUnavailable, contract.CodeUnavailable, "signing in is not possible at the moment; try again")
			return
		}
		var outcome contract.Refusal
		if json.Unmarshal(reply, &outcome) != nil {
			refuse(w, http.StatusBadGateway, contract.CodeUnavailable, "the auth service answered something else")
			return
		}
		status := http.StatusOK
		if !outcome.OK {
			status = contract.Status(outcome.Code)
		}
		answer(w, status, reply)
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	body, err := json.Marshal(contract.Refuse(code, message))
	if err != nil {
		http.Error(w, message, status)
		return
	}
	answer(w, status, body)
}

func answer(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone if this fails
}

// newHTTPServer has the limits of a server that strangers talk to. Answers have no deadline of their own:
// a poll waits for news, and the transport bounds its writes itself.
func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          newErrorLog(log),
	}
}

// boundBody gives a request's body a time in which it must have come, whether or not the handler reads it: without
// one, the HTTP server waits for what was announced before it answers, for ever.
func boundBody(h http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			// Fails only where the program that mounts the handler hides the connection, and bounds bodies itself.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit))
		}
		h.ServeHTTP(w, r)
	})
}
