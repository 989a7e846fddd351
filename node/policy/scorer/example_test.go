package scorer_test

import (
	"fmt"
	"time"

	"github.com/dig-network/digstore/node/policy"
	"github.com/dig-network/digstore/node/policy/scorer"
)

func Example() {
	service, err := scorer.NewHTTP("https://scores.example/v1", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer service.Close()
	p, err := policy.New(policy.Config{Mode: policy.Selective, Filter: "content_value_model_v2"},
		map[string]policy.Filter{"content_value_model_v2": {
			Scorer: scorer.NewCached(service, time.Hour, nil), Threshold: 0.6}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%q\n", p.Unresolved())
	// Output: ""
}
