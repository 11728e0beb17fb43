// Package storm kills a gateway and has all its clients come back at once. There are no stubs in it: a nats-server and
// several gateways, each a process of its own, and clients that speak Socket.IO over WebSockets.
package storm

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/kit/embed"
	"github.com/natter-io/natter/pkg/kit/logging"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// The program that the tests start again and again is the tests' own, in another role.
const (
	roleVariable    = "NATTER_STORM_ROLE"
	profileVariable = "NATTER_STORM_PROFILE" // a folder for a CPU profile of each process that is not killed
)

func TestMain(m *testing.M) {
	roles := map[string]func(context.Context) error{"gateway": serveGateway, "nats": serveNATS, "speakers": serveSpeech}
	serve, ok := roles[os.Getenv(roleVariable)]
	if !ok {
		goleak.VerifyTestMain(m)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	if err := profiled(ctx, serve); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	stop()
	os.Exit(0)
}

func profiled(ctx context.Context, serve func(context.Context) error) error {
	dir := os.Getenv(profileVariable)
	if dir == "" {
		return serve(ctx)
	}
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d.cpu", os.Getenv(roleVariable), os.Getpid())))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return serve(ctx)
}

// serveGateway is the gateway's program; it prints its address when it is ready.
func serveGateway(ctx context.Context) error {
	var cfg gatewayd.Config
	if err := config.Load(gatewayd.Name, gatewayd.About, os.Args[1:], &cfg); err != nil {
		return err
	}
	service, err := gatewayd.New(cfg, logging.New(os.Stderr, cfg.Log))
	if err != nil {
		return err
	}
	go func() {
		if service.Ready(ctx) == nil {
			fmt.Println(service.Addr())
		}
	}()
	return service.Run(ctx)
}

// serveNATS is a nats-server; it prints its URL.
func serveNATS(ctx context.Context) error {
	server, err := embed.Start(embed.Options{StoreDir: os.Args[1]})
	if err != nil {
		return err
	}
	fmt.Println(server.ClientURL())
	<-ctx.Done()
	return server.Shutdown()
}
