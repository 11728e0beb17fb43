package provision

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// limit is a setting of a stream that is only ever raised. A value of 0 or less is no limit.
type limit struct {
	setting string
	of      func(*jetstream.StreamConfig) int64
	set     func(*jetstream.StreamConfig, int64)
	show    func(int64) any
}

func bound[T int | int32 | int64 | time.Duration](setting string, field func(*jetstream.StreamConfig) *T) limit {
	return limit{
		setting: setting,
		of:      func(c *jetstream.StreamConfig) int64 { return int64(*field(c)) },
		set:     func(c *jetstream.StreamConfig, n int64) { *field(c) = T(n) },
		show: func(n int64) any {
			if n <= 0 {
				return "no limit"
			}
			return T(n)
		},
	}
}

// replicas is the setting of which everybody is an owner.
const replicas = "num_replicas"

// limits are in the order in which JetStream takes them one by one: it refuses duplicates beyond the age.
var limits = []limit{
	maxAge,
	bound("duplicate_window", func(c *jetstream.StreamConfig) *time.Duration { return &c.Duplicates }),
	bound(replicas, func(c *jetstream.StreamConfig) *int { return &c.Replicas }),
	bound("max_bytes", func(c *jetstream.StreamConfig) *int64 { return &c.MaxBytes }),
	bound("max_msg_size", func(c *jetstream.StreamConfig) *int32 { return &c.MaxMsgSize }),
	bound("max_msgs_per_subject", func(c *jetstream.StreamConfig) *int64 { return &c.MaxMsgsPerSubject }),
}

// compare orders a value of a limit, which may be none, and one that is wanted.
func compare(is, wanted int64) int {
	if is <= 0 {
		is = math.MaxInt64
	}
	return cmp.Compare(is, wanted)
}

// lacks lists what a stream has not, of what is wanted.
func lacks(have, want jetstream.StreamConfig) []change {
	changes := needs(have, want)
	add := func(setting string, from, to any, set func(*jetstream.StreamConfig)) {
		changes = append(changes, change{setting, from, to, false, set})
	}
	owner := newOwner(have, want)
	changes = append(changes, owner.changes...)
	for _, l := range limits {
		if owner.decided[l.setting] {
			continue
		}
		// Where nothing is wanted operators may do as they like.
		if is, n := l.of(&have), l.of(&want); n > 0 && compare(is, n) < 0 {
			add(l.setting, l.show(is), l.show(n), func(c *jetstream.StreamConfig) { l.set(c, n) })
		}
	}
	if want.Discard == jetstream.DiscardNew && have.Discard != want.Discard {
		add("discard", have.Discard, want.Discard, func(c *jetstream.StreamConfig) { c.Discard = want.Discard })
	}
	if want.DenyDelete && !have.DenyDelete {
		add("deny_delete", false, true, func(c *jetstream.StreamConfig) { c.DenyDelete = true })
	}
	if want.DenyPurge && !have.DenyPurge {
		add("deny_purge", false, true, func(c *jetstream.StreamConfig) { c.DenyPurge = true })
	}
	return changes
}

// needs lists those without which Natter does not work.
func needs(have, want jetstream.StreamConfig) (changes []change) {
	add := func(setting string, from, to any, set func(*jetstream.StreamConfig)) {
		changes = append(changes, change{setting, from, to, true, set})
	}
	if have.Retention != want.Retention {
		add("retention", have.Retention, want.Retention, func(c *jetstream.StreamConfig) { c.Retention = want.Retention })
	}
	if all := union(have.Subjects, want.Subjects); len(all) > len(have.Subjects) {
		add("subjects", have.Subjects, all, func(c *jetstream.StreamConfig) { c.Subjects = all })
	}
	if want.RePublish != nil && (have.RePublish == nil || *have.RePublish != *want.RePublish) {
		add("republish", showRePublish(have.RePublish), showRePublish(want.RePublish), func(c *jetstream.StreamConfig) { c.RePublish = want.RePublish })
	}
	for _, source := range want.Sources {
		is := slices.IndexFunc(have.Sources, func(s *jetstream.StreamSource) bool { return s.Name == source.Name })
		switch {
		case is < 0:
			add("sources", "none of "+source.Name, source.FilterSubject, func(c *jetstream.StreamConfig) { c.Sources = append(slices.Clip(c.Sources), source) })
		case have.Sources[is].FilterSubject != source.FilterSubject:
			add("sources", have.Sources[is].FilterSubject, source.FilterSubject, func(c *jetstream.StreamConfig) {
				c.Sources = slices.Clone(c.Sources)
				c.Sources[is] = source
			})
		}
	}
	// Of a stream that is no bucket it does not matter who else may read it directly.
	if have.AllowDirect != want.AllowDirect && (want.AllowDirect || strings.HasPrefix(want.Name, bucketPrefix)) {
		add("allow_direct", have.AllowDirect, want.AllowDirect, func(c *jetstream.StreamConfig) { c.AllowDirect = want.AllowDirect })
	}
	if want.AllowRollup && !have.AllowRollup {
		add("allow_rollup_hdrs", false, true, func(c *jetstream.StreamConfig) { c.AllowRollup = true })
	}
	if want.AllowMsgTTL && !have.AllowMsgTTL {
		add("allow_msg_ttl", false, true, func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true })
	}
	if want.SubjectDeleteMarkerTTL > have.SubjectDeleteMarkerTTL {
		add("subject_delete_marker_ttl", have.SubjectDeleteMarkerTTL, want.SubjectDeleteMarkerTTL, func(c *jetstream.StreamConfig) {
			c.SubjectDeleteMarkerTTL = want.SubjectDeleteMarkerTTL
		})
	}
	return changes
}

func union(have, more []string) []string {
	all := slices.Clone(have)
	for _, s := range more {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

func showRePublish(r *jetstream.RePublish) string {
	if r == nil {
		return "none"
	}
	return fmt.Sprintf("%s to %s, headers only: %t", r.Source, r.Destination, r.HeadersOnly)
}

// stated are the limits that Natter does not have unless somebody states them, with what sets them.
var stated = map[string]string{"max_bytes": "--max-bytes", "max_msg_size": "--max-msg-size"}

// tellLarger says where a stream has more than the settings say, which stays so.
func tellLarger(st Storage, have, want jetstream.StreamConfig) {
	owner := newOwner(have, want)
	for _, l := range limits {
		is, n := l.of(&have), l.of(&want)
		if n <= 0 || compare(is, n) <= 0 || owner.decided[l.setting] {
			continue
		}
		args := []any{"stream", have.Name, "setting", l.setting, "is", l.show(is), "wanted", l.show(n)}
		if option, ok := stated[l.setting]; ok {
			st.log().Warn("a limit of the settings has no effect: a stream that is there has more, and keeps it until an operator lowers it",
				append(args, "remedy", fmt.Sprintf("nats stream edit %s %s %d", have.Name, option, n))...)
			continue
		}
		st.log().Info("a stream has more than the settings say, and keeps it; an operator can lower it: nats stream edit", args...)
	}
}
