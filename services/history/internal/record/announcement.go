package record

// Announcement is what clients of a namespace must be told: messages of a user were redacted.
type Announcement struct {
	Namespace string // token
	User      string
	Newest    ID // the newest of the messages redacted
}
