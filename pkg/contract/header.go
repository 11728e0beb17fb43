package contract

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The headers of the contract.
const (
	// HeaderSocket is the id of the socket that said it.
	HeaderSocket = "Natter-Socket"
	// HeaderUser is the sender's user id, set by gateways only after a middleware verified it.
	HeaderUser = "Natter-User"
	// HeaderName is the sender's name: the account's, or what the client chose.
	HeaderName = "Natter-Name"
	// HeaderData are the data of the socket that said it, compact JSON in ASCII; missing if it has none. In events of [On],
	// but for connect, whose payload has them. See [FormatData].
	HeaderData = "Natter-Data"
	// HeaderDataSize stands in place of [HeaderData] if the data are too large for a header: their size in bytes.
	HeaderDataSize = "Natter-Data-Size"
	// HeaderPattern is the pattern whose configuration the namespace has, written as a namespace's token; missing if
	// the namespace has its own.
	HeaderPattern = "Natter-Pattern"
	// HeaderRooms lists the rooms of the target "many": encoded tokens or socket ids, separated by commas.
	HeaderRooms = "Natter-Rooms"
	// HeaderExcept lists rooms and socket ids that must not hear it, written as in [HeaderRooms].
	HeaderExcept = "Natter-Except"
	// HeaderAttachments lists the lengths in bytes of the binary attachments that follow the JSON array in
	// the payload, separated by commas.
	HeaderAttachments = "Natter-Attachments"
	// HeaderStamp, set to 1, asks gateways to append the [Stamp] as the last argument. Posts always have it.
	HeaderStamp = "Natter-Stamp"
	// HeaderCompress, set to false, asks gateways to send it uncompressed, also to clients that take it compressed:
	// what does not get smaller, such as pictures. See [MayCompress].
	HeaderCompress = "Natter-Compress"
	// HeaderTimeout is how long an ask or a list may take, as a Go duration ("2s", "250ms").
	HeaderTimeout = "Natter-Timeout"
	// HeaderAfter, in a request to Ask or List, is a sequence of the main stream: gateways answer once what
	// was stored up to it has taken effect, such as a join that was ordered just before. In the ack of a client's event
	// it is the last one that its handler stored: the client gets the ack after what was stored up to it.
	HeaderAfter = "Natter-After"
	// HeaderGateway is the id of the gateway that answers an ask or a list. On what is said to a target, and in
	// requests, it leaves of the target the sockets of that gateway. In events of [On] it is the gateway that has the socket, if that
	// is not the one of its id: the client came back there.
	HeaderGateway = "Natter-Gateway"
	// HeaderGateways says in each answer to an ask or a list how many gateways there are to answer.
	HeaderGateways = "Natter-Gateways"
	// HeaderCount, with any value in a request to List, asks for the number of sockets alone: the answer is an empty
	// array with [HeaderExpected].
	HeaderCount = "Natter-Count"
	// HeaderExpected says in an answer to an ask how many of the gateway's sockets were asked, and in one to a list with
	// [HeaderCount] how many there are.
	HeaderExpected = "Natter-Expected"
	// HeaderPart is "<part>/<parts>" in an answer that is too large for one message, e.g. "1/3".
	HeaderPart = "Natter-Part"
	// HeaderLeftOut says in an answer to an ask or a list how many elements are missing in it, since each is larger than
	// NATS's max_payload.
	HeaderLeftOut = "Natter-Left-Out"
	// HeaderPeers lists in an answer to an ask or a list the ids of the other gateways that are to answer, separated by
	// commas; missing if there are none, or more than [MaxPeers].
	HeaderPeers = "Natter-Peers"
	// HeaderServer is the id of the instance of a back end that says something to the others, or answers it.
	HeaderServer = "Natter-Server"
	// HeaderError is an error's code in an answer that carries a [Refusal].
	HeaderError = "Natter-Error"
	// HeaderMicroError and HeaderMicroCode are the message and the code of an error in the answer of a NATS micro service
	// (NATS ADR-32).
	HeaderMicroError = "Nats-Service-Error"
	HeaderMicroCode  = "Nats-Service-Error-Code"
)

// ErrBadHeader says that a header of the contract cannot be read.
var ErrBadHeader = errors.New("malformed header")

// Header is what nats.Header and micro.Headers have in common.
type Header = map[string][]string

// Last is the last value of a header, or "". JetStream appends its own Nats-* headers behind those that the
// publisher sent, so the first value can be forged: always read these with Last.
func Last(h Header, key string) string {
	values := h[key]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// MayCompress reads [HeaderCompress].
func MayCompress(h Header) bool { return Last(h, HeaderCompress) != "false" }

// FormatNames writes rooms and socket ids for [HeaderRooms] and [HeaderExcept].
func FormatNames(names []string) (string, error) {
	tokens := make([]string, len(names))
	for i, name := range names {
		if IsSocketID(name) {
			tokens[i] = name
			continue
		}
		token, err := EncodeToken(name)
		if err != nil {
			return "", fmt.Errorf("room: %w", err)
		}
		tokens[i] = token
	}
	return strings.Join(tokens, ","), nil
}

// ParseNames reads [HeaderRooms] and [HeaderExcept].
func ParseNames(value string) ([]string, error) {
	if value == "" {
		return nil, nil
	}
	names := strings.Split(value, ",")
	for i, token := range names {
		token = strings.TrimSpace(token)
		if IsSocketID(token) {
			names[i] = token
			continue
		}
		name, err := DecodeToken(token)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadHeader, err)
		}
		names[i] = name
	}
	return names, nil
}

// ParseLocal reads [HeaderGateway] of what is said to a target: "" when it is missing, for every gateway.
func ParseLocal(h Header) (gateway string, err error) {
	value := Last(h, HeaderGateway)
	if value != "" && !ValidGatewayID(value) {
		return "", fmt.Errorf("%w: %s: %s is not a gateway's id", ErrBadHeader, HeaderGateway, clip(value))
	}
	return value, nil
}

// MaxAttachments is the greatest number of binary attachments of one event: stock clients refuse more.
const MaxAttachments = 10

// FormatAttachments writes the lengths for [HeaderAttachments].
func FormatAttachments(attachments [][]byte) string {
	var b []byte
	for i, a := range attachments {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(len(a)), 10)
	}
	return string(b)
}

// SplitPayload parts a payload into its JSON text and its attachments, as told by [HeaderAttachments]. The
// results are sub-slices of the payload.
func SplitPayload(h Header, payload []byte) (json []byte, attachments [][]byte, err error) {
	value := Last(h, HeaderAttachments)
	if value == "" {
		return payload, nil, nil
	}
	lengths := strings.Split(value, ",")
	if len(lengths) > MaxAttachments {
		return nil, nil, fmt.Errorf("%w: %s names %d attachments, at most %d are allowed", ErrBadHeader, HeaderAttachments, len(lengths), MaxAttachments)
	}
	sizes := make([]int, len(lengths))
	total := 0
	for i, l := range lengths {
		n, err := strconv.Atoi(strings.TrimSpace(l))
		if err != nil || n < 0 || n > len(payload) {
			return nil, nil, fmt.Errorf("%w: %s: %s is not the length of an attachment in a payload of %d bytes", ErrBadHeader, HeaderAttachments, clip(l), len(payload))
		}
		sizes[i] = n
		total += n
	}
	if total > len(payload) {
		return nil, nil, fmt.Errorf("%w: %s adds up to %d bytes, the payload has %d", ErrBadHeader, HeaderAttachments, total, len(payload))
	}
	start := len(payload) - total
	json = payload[:start:start]
	attachments = make([][]byte, len(sizes))
	for i, n := range sizes {
		attachments[i] = payload[start : start+n : start+n]
		start += n
	}
	return json, attachments, nil
}

// JoinPayload puts attachments behind the JSON text.
func JoinPayload(json []byte, attachments [][]byte) []byte {
	size := len(json)
	for _, a := range attachments {
		size += len(a)
	}
	payload := append(make([]byte, 0, size), json...)
	for _, a := range attachments {
		payload = append(payload, a...)
	}
	return payload
}

// ParseAfter reads [HeaderAfter]: 0 when it is missing.
func ParseAfter(h Header) (sequence uint64, err error) {
	value := Last(h, HeaderAfter)
	if value == "" {
		return 0, nil
	}
	if sequence, err = strconv.ParseUint(value, 10, 64); err != nil {
		return 0, fmt.Errorf("%w: %s: %s is not the sequence of a stored message", ErrBadHeader, HeaderAfter, clip(value))
	}
	return sequence, nil
}

// ParseTimeout reads [HeaderTimeout]: fallback when it is missing, at most max.
func ParseTimeout(h Header, fallback, max time.Duration) (time.Duration, error) {
	value := Last(h, HeaderTimeout)
	if value == "" {
		return fallback, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%w: %s: %s is not a positive duration such as 2s or 250ms", ErrBadHeader, HeaderTimeout, clip(value))
	}
	return min(d, max), nil
}
