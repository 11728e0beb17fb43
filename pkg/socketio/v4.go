package socketio

import "strings"

// Version 4 of the protocol, which Socket.IO 1 and 2 use, differs in how namespaces are entered: the client may
// put a query string behind the namespace in its CONNECT, and the server's answers carry other payloads. Everything
// else is spelled the same.
//
// The protocol: https://github.com/socketio/socket.io-protocol/tree/v4

// SplitNamespaceV4 parts the namespace of a client's CONNECT ("/admin?token=1234") from the query string behind
// it, which is "" if there is none.
func SplitNamespaceV4(namespace string) (name, query string) {
	name, query, _ = strings.Cut(namespace, "?")
	return name, query
}

// AppendConnectV4 appends a server's answer to a CONNECT of version 4, which says nothing of the socket's id:
// clients take that of the Engine.IO session.
func AppendConnectV4(dst []byte, namespace string) []byte {
	return appendNamespace(append(dst, byte(Connect)), namespace)
}

// AppendErrorV4 appends an ERROR packet of version 4, a server's refusal of a CONNECT. data is a JSON string or
// object, which says why.
func AppendErrorV4(dst []byte, namespace string, data []byte) []byte {
	return append(appendNamespace(append(dst, byte(ConnectError)), namespace), data...)
}
