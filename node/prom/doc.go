// Package prom exports the metrics of a node to Prometheus. A [Collector] reads a [Snapshot] at
// each scrape, and has histograms of observations by the node.
//
// The names start with dig_ and use base units, by the conventions of Prometheus:
//
//	dig_storage_used_bytes                gauge      dig_storage_capacity_bytes   gauge
//	dig_capsules                          gauge      dig_capsules_stored_total    counter
//	dig_datastores                        gauge      dig_generations              gauge
//	dig_plots                             gauge      dig_plots_bytes              gauge
//	dig_quarantined_capsules              gauge      dig_upload_sessions          gauge
//	dig_staged_bytes                      gauge      dig_peers                    gauge
//	dig_network_receive_bytes_total       counter    dig_network_transmit_bytes_total  counter
//	dig_http_request_duration_seconds     histogram  route, method, code
//	dig_plot_create_duration_seconds      histogram
//	dig_proof_duration_seconds            histogram  kind
//	dig_validations_total                 counter    result
//	dig_earnings_dig_total                counter    dig_bribes_dig_total         counter
//	dig_pending_rewards_dig               gauge      dig_earnings_per_terabyte_dig  gauge
//	dig_cache_requests_total              counter    result
//	dig_cache_bytes                       gauge      tier
//	dig_rate_limited_total                counter    bucket
//	dig_cpu_seconds_total                 counter    dig_memory_bytes             gauge
//	dig_memory_limit_bytes                gauge
//	dig_disk_read_bytes_total             counter    dig_disk_write_bytes_total   counter
//	dig_start_time_seconds                gauge      dig_build_info               version, goversion
//	dig_scrape_error                      gauge      1 when the last snapshot failed
//
// With [Options.SeedNames] there are fourteen names more, without prefix and in other units:
// storage_utilization (ratio), capsule_count, plot_generation_rate (plots an hour), peer_count,
// bandwidth_in and bandwidth_out (bytes), request_latency (ms), validation_success_rate (ratio),
// earnings_per_tb (DIG a day), pending_rewards (DIG), cpu_usage (%), memory_usage (%), disk_io_rate
// (MB/s) and proof_generation_time (ms). [Collector.SeedValues] returns them as numbers.
//
// No label has the id of a datastore or a node, or an address.
package prom
