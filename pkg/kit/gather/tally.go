package gather

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/natter-io/natter/pkg/contract"
)

// tally counts the parts that each gateway has sent.
type tally struct {
	gateways int                 // how many there are, by the newest word
	known    map[string]struct{} // those of them that are known by name
	left     map[string]int      // gateway → parts still to come
	gone     map[string]struct{} // gateways that are not waited for
	done     int                 // gateways of which every part is here
}

// add notes an answer and says from which gateway it is.
func (t *tally) add(h contract.Header) (gateway string, err error) {
	gateway = contract.Last(h, contract.HeaderGateway)
	gateways, err := strconv.Atoi(contract.Last(h, contract.HeaderGateways))
	if gateway == "" || err != nil || gateways < 1 {
		return "", fmt.Errorf("%w: an answer without %s and %s", contract.ErrBadHeader, contract.HeaderGateway, contract.HeaderGateways)
	}
	peers, err := contract.ParsePeers(h)
	if err != nil {
		return "", err
	}
	parts := 1
	if part := contract.Last(h, contract.HeaderPart); part != "" {
		_, total, _ := strings.Cut(part, "/")
		if parts, err = strconv.Atoi(total); err != nil || parts < 1 {
			return "", fmt.Errorf("%w: %s: %q", contract.ErrBadHeader, contract.HeaderPart, part)
		}
	}
	if t.left == nil {
		t.left, t.known, t.gone = make(map[string]int), make(map[string]struct{}), make(map[string]struct{})
	}
	for _, peer := range peers {
		t.known[peer] = struct{}{}
	}
	t.gateways = max(t.gateways, gateways)
	left, known := t.left[gateway]
	if !known {
		left = parts
	}
	t.left[gateway] = left - 1
	if left == 1 {
		t.done++
		delete(t.gone, gateway)
	}
	return gateway, nil
}

// goneIs notes that a gateway is not waited for.
func (t *tally) goneIs(gateway string) {
	if left, answers := t.left[gateway]; !answers || left > 0 {
		t.gone[gateway] = struct{}{}
	}
}

// missing are the gateways that are waited for, as far as they are known by name.
func (t *tally) missing() []string {
	var all []string
	for gateway := range t.known {
		left, answers := t.left[gateway]
		if _, gone := t.gone[gateway]; !gone && (!answers || left > 0) {
			all = append(all, gateway)
		}
	}
	slices.Sort(all)
	return all
}

// complete says whether nobody is waited for: as many answered as there are, and all that are known by name. One that is just
// starting may answer before the others count it.
func (t *tally) complete() bool {
	return t.gateways > 0 && t.done+len(t.gone) >= t.gateways && len(t.missing()) == 0
}

func (t *tally) String() string {
	if t.gateways == 0 {
		return "no gateway answered"
	}
	text := fmt.Sprintf("%d of %d gateways answered", t.done, t.gateways)
	if missing := t.missing(); len(missing) > 0 {
		text += ", not " + strings.Join(missing, " and ")
	}
	return text
}
