// Package sdk is a Socket.IO server's API for back ends that run outside the gateway's process: declare
// namespaces, admit clients, handle their events, emit to rooms, fetch sockets.
//
// A [Server] is a NATS client of the subject contract (package contract) and nothing else. It holds no
// client connection and does not know which gateways there are; whatever it does can be done with nats pub,
// nats sub and nats req too.
//
// # Delivery
//
// Events reach a service at most once, over core NATS: what is said while no instance runs is not heard.
// Instances of one service (the same [Options.Name]) share the events. Within an instance the events of one
// socket are handled one at a time, in the order in which the client sent them, those of different sockets
// in parallel. Between instances there is no order: a socket's next event may be handled by another instance
// while this one is still busy with the one before. Of a namespace that is declared with Ordered, an instance takes
// whole sockets: all that one of them says goes to it, in order, until the socket is gone.
//
// What Emit, Post, Join, Leave and Disconnect say has been stored by JetStream when they return nil, and reaches
// clients in the order in which it was stored. Volatile messages have no such promise.
//
// # Backpressure
//
// At most [Options.Backlog] events wait in the service. When the handlers cannot keep up, the service stops
// reading; then as many again wait in the connection's channel, and what comes after that is dropped, counted
// in [Stats] and logged. One socket alone can have at most an eighth of the backlog waiting; what it says
// beyond that is dropped too, so that a flood from one client does not silence the others.
package sdk
