package database_test

import (
	"testing"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

// BenchmarkAppend stores batches of 256 messages, as the service does when it has to catch up.
func BenchmarkAppend(b *testing.B) {
	for kind, open := range map[string]func(testing.TB) func() *database.Store{"sqlite": sqliteIn, "postgres": postgresIn} {
		b.Run(kind, func(b *testing.B) {
			const size = 256
			s := open(b)()
			sequence := int64(0)
			for b.Loop() {
				batch := make([]record.Message, size)
				for i := range batch {
					sequence++
					batch[i] = said(sequence, "u", "a message of a hundred bytes or so, as people write them to each other", "room.red")
				}
				appendAll(b, s, batch...)
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
