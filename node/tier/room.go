package tier

import (
	"github.com/dig-network/digstore/node/policy"
)

// room returns how many bytes may be written to a volume: what the disk has beyond the reserve,
// and what the quota leaves.
func (t *Tiers) room(v *volume) (int64, error) {
	var used int64
	for _, p := range v.held() {
		used += p.Size
	}
	free, err := t.c.Free(v.Path)
	if err != nil {
		return 0, v.explain(err)
	}
	room := free - int64(policy.Reserve(uint64(used+free)))
	if v.Quota > 0 {
		room = min(room, v.Quota-used)
	}
	return max(0, room), nil
}
