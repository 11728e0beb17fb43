package socketio

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// appendMsgpackNumber appends a JSON number as the stock parser writes the number that JavaScript takes it for:
// in the shortest integer form if it is whole, else as float 64. What is no integer of 64 bits is a float 64 too,
// where the stock parser would write another number.
func appendMsgpackNumber(dst, text []byte) []byte {
	if bytes.IndexAny(text, ".eE") < 0 {
		if text[0] != '-' {
			if u, err := strconv.ParseUint(string(text), 10, 64); err == nil {
				return msgp.AppendUint64(dst, u)
			}
		} else if i, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return appendMsgpackInt(dst, i)
		}
	}
	f, _ := strconv.ParseFloat(string(text), 64) // ±Inf if it is out of range, as in JavaScript
	switch {
	case f != math.Trunc(f):
	case 0 <= f && f < 1<<64: // also -0, which is 0
		return msgp.AppendUint64(dst, uint64(f))
	case -1<<63 <= f && f < 0:
		return msgp.AppendInt64(dst, int64(f))
	}
	return msgp.AppendFloat64(dst, f)
}

// appendMsgpackInt writes what is not negative as an unsigned integer.
func appendMsgpackInt(dst []byte, i int64) []byte {
	if i >= 0 {
		return msgp.AppendUint64(dst, uint64(i))
	}
	return msgp.AppendInt64(dst, i)
}

// appendFloat appends a number as JSON.stringify does: null for what JSON cannot say, 0 for -0.
func appendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(dst, "null"...)
	case f == 0:
		return append(dst, '0')
	}
	if abs := math.Abs(f); 1e-6 <= abs && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); dst[n-2] == '0' && (dst[n-3] == '-' || dst[n-3] == '+') { // e-07
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

// maxDate is the farthest that a JavaScript Date can be from 1970, in milliseconds (ECMA-262, "Time Values").
const maxDate = 8_640_000_000_000_000

// appendDate appends a Date as JSON.stringify does: null for one that is not valid, years outside 0…9999 with
// a sign and six digits.
func appendDate(dst []byte, ms int64) []byte {
	if ms < -maxDate || ms > maxDate {
		return append(dst, "null"...)
	}
	t := time.UnixMilli(ms).UTC()
	dst = append(dst, '"')
	year, digits := t.Year(), 4
	switch {
	case year < 0:
		dst, year, digits = append(dst, '-'), -year, 6
	case year > 9999:
		dst, digits = append(dst, '+'), 6
	}
	for power := int(math.Pow10(digits - 1)); power > 0; power /= 10 {
		dst = append(dst, '0'+byte(year/power%10))
	}
	return t.AppendFormat(dst, `-01-02T15:04:05.000Z"`)
}
