package natstest

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/kit/embed"
)

const (
	reconnectWait = 50 * time.Millisecond
	// clusterDeadline bounds the wait for replicated streams; seconds are usual.
	clusterDeadline = 60 * time.Second
	clusterTries    = 5
)

// Nodes are the servers of one cluster.
type Nodes []*Server

// Cluster starts n servers in this process as one JetStream cluster and returns
// once it accepts streams with n replicas. Each node can be shut down and
// restarted by itself. A Shutdown is graceful; kill -9 needs processes.
func Cluster(t testing.TB, n int, opts ...Option) Nodes {
	t.Helper()
	var err error
	// Members must know each other's ports before the first one starts, so free
	// ports are looked up and may be gone a moment later: hence the tries.
	for range clusterTries {
		var nodes Nodes
		if nodes, err = startCluster(t, n, opts); err == nil {
			nodes.waitReplicas(t)
			return nodes
		}
		if !errors.Is(err, embed.ErrPortInUse) && !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	t.Fatalf("natstest: start a cluster of %d: %v", n, err)
	return nil
}

func startCluster(t testing.TB, n int, opts []Option) (nodes Nodes, err error) {
	t.Helper()
	ports, err := freePorts(n)
	if err != nil {
		return nil, err
	}
	routes := make([]string, n)
	for i, p := range ports {
		routes[i] = fmt.Sprintf("nats://127.0.0.1:%d", p)
	}
	for i, p := range ports {
		s := newServer(t, append([]Option{func(o *embed.Options) {
			o.ServerName = fmt.Sprintf("node%d", i+1)
			o.Cluster = &embed.Cluster{Name: "natstest", Port: p, Routes: routes}
		}}, opts...))
		if err := s.start(); err != nil {
			for _, started := range nodes {
				started.Shutdown()
			}
			return nil, err
		}
		t.Cleanup(s.Shutdown)
		nodes = append(nodes, s)
	}
	return nodes, nil
}

func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that no port comes twice
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// waitReplicas polls until a stream with one replica per node can be made.
func (c Nodes) waitReplicas(t testing.TB) {
	t.Helper()
	nc, err := nats.Connect(c.URLs())
	if err != nil {
		t.Fatalf("natstest: connect to the cluster: %v", err)
	}
	defer nc.Close()
	js, err := nc.JetStream(nats.MaxWait(2 * time.Second))
	if err != nil {
		t.Fatalf("natstest: %v", err)
	}
	const name = "NATSTEST_READY"
	for deadline := time.Now().Add(clusterDeadline); ; {
		_, err := js.AddStream(&nats.StreamConfig{
			Name: name, Subjects: []string{"natstest.ready"}, Replicas: len(c), Storage: nats.MemoryStorage,
		})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("natstest: the cluster takes no stream with %d replicas after %s: %v", len(c), clusterDeadline, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := js.DeleteStream(name); err != nil {
		t.Fatalf("natstest: delete the stream that tested readiness: %v", err)
	}
}

// URLs are all nodes' addresses, separated by commas.
func (c Nodes) URLs() string {
	urls := make([]string, len(c))
	for i, s := range c {
		urls[i] = s.URL()
	}
	return strings.Join(urls, ",")
}

// Connect returns a connection to any node that is closed when t ends.
func (c Nodes) Connect(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	return connect(t, c.URLs(), opts)
}
