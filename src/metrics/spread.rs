//! A histogram of Prometheus, from what is counted.

use prometheus::proto;

use super::series::seconds;
use crate::domain::tally::{BOUNDS, Spread};

/// As Prometheus wants it: each bound, in seconds, with all that is not above it.
pub(super) fn told(spread: &Spread) -> proto::Histogram {
    let mut below = 0;
    let buckets = BOUNDS.iter().zip(spread.counts).map(|(bound, count)| {
        below += u64::from(count);
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(f64::from(*bound) / 1_000.0);
        bucket.set_cumulative_count(below);
        bucket
    });
    let mut told = proto::Histogram::default();
    told.set_bucket(buckets.collect());
    told.set_sample_count(below + u64::from(spread.above));
    told.set_sample_sum(seconds(spread.sum_ms));
    told
}

#[cfg(test)]
mod tests {
    use prometheus::{Histogram, HistogramOpts, core::Collector};

    use super::*;

    #[test]
    fn it_tells_what_the_librarys_histogram_does() {
        let bounds = BOUNDS.map(|bound| f64::from(bound) / 1_000.0).to_vec();
        let theirs = Histogram::with_opts(HistogramOpts::new("a", "a").buckets(bounds)).unwrap();
        let mut ours = Spread::default();
        for ms in [
            0,
            500,
            1_000,
            1_125,
            2_500,
            59_000,
            604_800_000,
            604_801_000,
            1 << 40,
        ] {
            theirs.observe(seconds(ms));
            ours.observe(ms);
        }
        let theirs = theirs.collect()[0].get_metric()[0].get_histogram().clone();
        assert_eq!(told(&ours), theirs);
    }
}
