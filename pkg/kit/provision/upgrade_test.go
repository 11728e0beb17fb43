package provision

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
)

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// take returns what was logged since the last call.
func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.text.Reset()
	return j.text.String()
}

func (j *journal) storage(replicas int) Storage {
	return Storage{Replicas: replicas, Log: slog.New(slog.NewTextHandler(j, nil))}
}

func config(t *testing.T, js jetstream.JetStream, name string) jetstream.StreamConfig {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().Config
}

func edit(t *testing.T, js jetstream.JetStream, name string, change func(*jetstream.StreamConfig)) {
	t.Helper()
	cfg := config(t, js, name)
	change(&cfg)
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

func TestLimitsAreRaisedAndNeverLowered(t *testing.T) {
	ctx, _, js := connect(t)
	var s contract.Subjects
	var j journal
	st := j.storage(1)
	st.MaxBytes, st.MaxMessage = 1<<20, 1<<16
	if _, err := Main(ctx, js, s, time.Hour, time.Minute, st); err != nil {
		t.Fatal(err)
	}
	if got := j.take(); got != "" {
		t.Errorf("making a stream is no change: %s", got)
	}
	made := config(t, js, "NATTER")
	if made.MaxAge != time.Hour || made.Duplicates != time.Minute || made.MaxBytes != 1<<20 || made.MaxMsgSize != 1<<16 || made.Discard != jetstream.DiscardNew {
		t.Fatalf("%+v", made)
	}
	// Another instance, with settings that are less in every respect.
	less := j.storage(1)
	less.MaxBytes, less.MaxMessage = 1<<19, 1<<12
	for range 2 {
		if _, err := Main(ctx, js, s, time.Minute, time.Second, less); err != nil {
			t.Fatal(err)
		}
		got := j.take()
		for _, line := range []string{"setting=max_age is=1h0m0s wanted=1m0s", "setting=duplicate_window is=1m0s wanted=1s", "setting=max_bytes is=1048576 wanted=524288", "setting=max_msg_size is=65536 wanted=4096"} {
			if !strings.Contains(got, line) {
				t.Errorf("%s is not in the log: %s", line, got)
			}
		}
		for _, remedy := range []string{"nats stream edit NATTER --max-bytes 524288", "nats stream edit NATTER --max-msg-size 4096"} {
			if !strings.Contains(got, `remedy="`+remedy+`"`) || strings.Count(got, "level=WARN") != 2 {
				t.Errorf("%s is not in the log, or not alone: %s", remedy, got)
			}
		}
	}
	// And one with more in every respect.
	more := j.storage(1)
	more.MaxBytes, more.MaxMessage = 1<<21, 1<<17
	if _, err := Main(ctx, js, s, 2*time.Hour, 2*time.Hour, more); err != nil {
		t.Fatal(err)
	}
	got := j.take()
	for _, line := range []string{"setting=max_age from=1h0m0s to=2h0m0s", "setting=duplicate_window from=1m0s to=2h0m0s", "setting=max_bytes from=1048576 to=2097152", "setting=max_msg_size from=65536 to=131072"} {
		if !strings.Contains(got, line) {
			t.Errorf("%s is not in the log: %s", line, got)
		}
	}
	if now := config(t, js, "NATTER"); now.MaxAge != 2*time.Hour || now.Duplicates != 2*time.Hour || now.MaxBytes != 1<<21 || now.MaxMsgSize != 1<<17 {
		t.Errorf("%+v", now)
	}
}

func TestWhatOperatorsChangeStays(t *testing.T) {
	ctx, _, js := connect(t)
	var s contract.Subjects
	var j journal
	start := func() {
		t.Helper()
		if _, err := Main(ctx, js, s, time.Minute, time.Minute, j.storage(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := Events(ctx, js, s, 0, j.storage(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := Gateways(ctx, js, s, time.Minute, j.storage(1)); err != nil {
			t.Fatal(err)
		}
	}
	start()
	edit(t, js, "NATTER", func(c *jetstream.StreamConfig) {
		c.MaxAge, c.MaxBytes, c.Description, c.Compression = time.Hour, 1<<24, "ours", jetstream.S2Compression
		c.Metadata = map[string]string{"team": "chat"}
		c.Subjects = append(c.Subjects, "elsewhere")
	})
	edit(t, js, "NATTER_EVENTS", func(c *jetstream.StreamConfig) { c.AllowDirect, c.MaxMsgs = true, 1000 })
	edit(t, js, "KV_NATTER_GATEWAYS", func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 })
	want := fmt.Sprintf("%+v", []jetstream.StreamConfig{config(t, js, "NATTER"), config(t, js, "NATTER_EVENTS"), config(t, js, "KV_NATTER_GATEWAYS")})
	j.take()
	start()
	got := fmt.Sprintf("%+v", []jetstream.StreamConfig{config(t, js, "NATTER"), config(t, js, "NATTER_EVENTS"), config(t, js, "KV_NATTER_GATEWAYS")})
	if strip(got) != strip(want) {
		t.Errorf("became\n%s\nwas\n%s", got, want)
	}
	if log := j.take(); strings.Contains(log, "changed") {
		t.Error(log)
	}
}

// strip takes out addresses, in which two printed configurations differ.
func strip(text string) string {
	var b strings.Builder
	for field := range strings.FieldsSeq(text) {
		if !strings.Contains(field, "0x") {
			b.WriteString(field + " ")
		}
	}
	return b.String()
}

// TestALiveStreamIsUpgraded changes a stream of an older version while it is published to, consumed, sourced and republished.
func TestALiveStreamIsUpgraded(t *testing.T) {
	ctx, nc, js := connect(t)
	var s contract.Subjects
	var j journal
	old := jetstream.StreamConfig{
		Name: "NATTER", Subjects: stored(s)[:8], MaxAge: 30 * time.Second, Duplicates: 10 * time.Second, Storage: jetstream.FileStorage,
		RePublish: &jetstream.RePublish{Source: s.Prefix() + ".*.>", Destination: s.AllOf(contract.Live)},
	}
	if _, err := js.CreateStream(ctx, old); err != nil {
		t.Fatal(err)
	}
	posts, err := Posts(ctx, js, s, time.Hour, j.storage(1))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := posts.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "history", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	live, err := nc.SubscribeSync(s.AllOf(contract.Live))
	if err != nil {
		t.Fatal(err)
	}
	const n = 600
	changed := make(chan error, 1)
	for i := range n {
		if i == n/3 {
			go func() {
				_, err := Main(ctx, js, s, time.Minute, time.Minute, j.storage(1))
				changed <- err
			}()
		}
		if i == 2*n/3 {
			if err := <-changed; err != nil {
				t.Fatal(err)
			}
		}
		if _, err := js.Publish(ctx, "natter.post._.all", fmt.Appendf(nil, `["n",%d]`, i), jetstream.WithMsgID(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		msg, err := live.NextMsgWithContext(ctx)
		if want := fmt.Sprintf(`["n",%d]`, i); err != nil || string(msg.Data) != want {
			t.Fatalf("republished %v, %v; want %s", msg, err, want)
		}
	}
	for i := 0; i < n; {
		batch, err := kept.Fetch(n-i, jetstream.FetchMaxWait(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for msg := range batch.Messages() {
			if want := fmt.Sprintf(`["n",%d]`, i); string(msg.Data()) != want {
				t.Fatalf("kept %s, want %s", msg.Data(), want)
			}
			i++
		}
		if batch.Error() != nil || ctx.Err() != nil {
			t.Fatal(batch.Error(), ctx.Err())
		}
	}
	// Ids from before the change are remembered.
	for _, i := range []int{0, n - 1} {
		ack, err := js.Publish(ctx, "natter.post._.all", []byte(`["again"]`), jetstream.WithMsgID(fmt.Sprint(i)))
		if err != nil || !ack.Duplicate || ack.Sequence != uint64(i+1) {
			t.Errorf("%+v, %v", ack, err)
		}
	}
	now := config(t, js, "NATTER")
	if len(now.Subjects) != len(stored(s)) || !now.DenyPurge || !now.AllowDirect || now.Discard != jetstream.DiscardNew || now.MaxAge != time.Minute {
		t.Errorf("%+v", now)
	}
	if log := j.take(); !strings.Contains(log, "setting=max_age from=30s to=1m0s") || !strings.Contains(log, "setting=allow_direct from=false to=true") {
		t.Error(log)
	}
}

// TestWhatJetStreamRefusesToChangeStaysAsItIs asks for copies that a single server cannot have.
func TestWhatJetStreamRefusesToChangeStaysAsItIs(t *testing.T) {
	ctx, _, js := connect(t)
	var s contract.Subjects
	var j journal
	if _, err := Main(ctx, js, s, time.Minute, time.Minute, j.storage(3)); err == nil || !strings.Contains(err.Error(), "replicas") || !strings.Contains(err.Error(), "cluster") {
		t.Fatalf("a new stream with 3 copies on one server: %v", err)
	}
	if _, err := Main(ctx, js, s, time.Minute, time.Minute, j.storage(1)); err != nil {
		t.Fatal(err)
	}
	stream, err := Main(ctx, js, s, time.Hour, time.Minute, j.storage(3))
	if err != nil {
		t.Fatalf("a stream that works already: %v", err)
	}
	if c := stream.CachedInfo().Config; c.Replicas != 1 || c.MaxAge != time.Hour {
		t.Errorf("%+v", c)
	}
	log := j.take()
	if !strings.Contains(log, "setting=num_replicas is=1 wanted=3") || !strings.Contains(log, "level=WARN") || !strings.Contains(log, "setting=max_age from=1m0s to=1h0m0s") {
		t.Error(log)
	}
}

// TestWhatIsNeededAndRefusedIsAnError has another stream hold a subject that Natter needs.
func TestWhatIsNeededAndRefusedIsAnError(t *testing.T) {
	ctx, _, js := connect(t)
	var s contract.Subjects
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "NATTER", Subjects: stored(s)[1:]}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "OTHER", Subjects: stored(s)[:1]}); err != nil {
		t.Fatal(err)
	}
	var j journal
	if _, err := Main(ctx, js, s, time.Minute, time.Minute, j.storage(1)); err == nil || !strings.Contains(err.Error(), "stream NATTER: changing") || !strings.Contains(err.Error(), "subjects") {
		t.Errorf("%v", err)
	}
}

// TestInstancesWithDifferentSettingsAgree starts many at the same moment.
func TestInstancesWithDifferentSettingsAgree(t *testing.T) {
	ctx, _, js := connect(t)
	var s contract.Subjects
	var j journal
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			st := j.storage(1)
			st.MaxBytes = int64(4-i) << 20
			if _, err := Main(ctx, js, s, time.Duration(i+1)*time.Minute, time.Duration(1+i%2)*time.Minute, st); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if c := config(t, js, "NATTER"); c.MaxAge != 4*time.Minute || c.Duplicates != 2*time.Minute || c.MaxBytes != 4<<20 {
		t.Errorf("age %s, duplicates %s, %d bytes", c.MaxAge, c.Duplicates, c.MaxBytes)
	}
}

// TestAFullStreamRefusesWhatIsNew fills the main stream: what was acknowledged stays, and the fence works.
func TestAFullStreamRefusesWhatIsNew(t *testing.T) {
	ctx, nc, js := connect(t)
	var s contract.Subjects
	var j journal
	st := j.storage(1)
	st.MaxBytes = 1 << 20
	main, err := Main(ctx, js, s, time.Hour, time.Minute, st)
	if err != nil {
		t.Fatal(err)
	}
	stored := uint64(0)
	for err == nil {
		if _, err = js.Publish(ctx, "natter.post._.all", make([]byte, 50_000)); err == nil {
			stored++
		}
		if stored > 100 {
			t.Fatal("it is never full")
		}
	}
	if !strings.Contains(err.Error(), "maximum bytes exceeded") {
		t.Fatal(err)
	}
	info, err := main.Info(ctx)
	if err != nil || info.State.Msgs != stored || info.State.FirstSeq != 1 {
		t.Errorf("%+v, %v; %d messages were acknowledged", info.State, err, stored)
	}
	ack, err := js.Publish(ctx, s.Fence(), nil, jetstream.WithExpectLastSequence(1<<62))
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("wrong last sequence: %d", stored)) {
		t.Errorf("the fence of a full stream: %+v, %v", ack, err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestCopiesAreAddedInACluster raises the replicas of a stream with messages.
func TestCopiesAreAddedInACluster(t *testing.T) {
	nodes := natstest.Cluster(t, 3)
	js, err := jetstream.New(nodes.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	var s contract.Subjects
	var j journal
	if _, err := Main(t.Context(), js, s, time.Hour, time.Minute, j.storage(1)); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if _, err := js.Publish(t.Context(), "natter.post._.all", fmt.Appendf(nil, `["n",%d]`, i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, replicas := range []int{3, 1} { // the second changes nothing
		stream, err := Main(t.Context(), js, s, time.Hour, time.Minute, j.storage(replicas))
		if err != nil {
			t.Fatal(err)
		}
		if info := stream.CachedInfo(); info.Config.Replicas != 3 || info.State.Msgs != 10 {
			t.Errorf("%d copies, %d messages", info.Config.Replicas, info.State.Msgs)
		}
	}
	if log := j.take(); !strings.Contains(log, "setting=num_replicas from=1 to=3") || !strings.Contains(log, "setting=num_replicas is=3 wanted=1") {
		t.Error(log)
	}
}
