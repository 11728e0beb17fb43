package record

// Announcement is what clients must be told of a change in history.
type Announcement struct {
	Topic     string // one that comes later on the same topic takes its place
	Version   ID     // grows on the topic
	Namespace string // token
	Target    string // of the subject on which they hear it
	Event     []byte // the event array
}
