//! How times are spread: what a histogram of Prometheus tells, in as little
//! memory as it needs, for there are two of each drill.

use prometheus::proto;

/// Upper bounds for recovery times and points, in seconds: from a second to a
/// week.
const BOUNDS: [f64; 16] = [
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0,
    86_400.0, 259_200.0, 604_800.0,
];

/// Times, counted by the first bound that they do not exceed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Spread {
    counts: [u32; BOUNDS.len()],
    /// Those above all bounds.
    above: u32,
    /// In seconds.
    sum: f64,
}

impl Spread {
    pub fn observe(&mut self, seconds: f64) {
        let bound = BOUNDS.iter().position(|bound| seconds <= *bound);
        let count = bound.map_or(&mut self.above, |bound| &mut self.counts[bound]);
        *count = count.saturating_add(1);
        self.sum += seconds;
    }

    /// As Prometheus wants it: each bound with all that is not above it.
    pub fn told(&self) -> proto::Histogram {
        let mut below = 0;
        let buckets = BOUNDS.iter().zip(self.counts).map(|(bound, count)| {
            below += u64::from(count);
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(below);
            bucket
        });
        let mut told = proto::Histogram::default();
        told.set_bucket(buckets.collect());
        told.set_sample_count(below + u64::from(self.above));
        told.set_sample_sum(self.sum);
        told
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Histogram, HistogramOpts, core::Collector};

    use super::*;

    #[test]
    fn it_tells_what_the_librarys_histogram_does() {
        let options = HistogramOpts::new("a", "a").buckets(BOUNDS.to_vec());
        let theirs = Histogram::with_opts(options).unwrap();
        let mut ours = Spread::default();
        for seconds in [0.0, 0.5, 1.0, 1.1, 2.5, 59.0, 604_800.0, 604_801.0, 1e9] {
            theirs.observe(seconds);
            ours.observe(seconds);
        }
        let theirs = theirs.collect()[0].get_metric()[0].get_histogram().clone();
        assert_eq!(ours.told(), theirs);
    }
}
