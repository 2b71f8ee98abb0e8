//! The numbers of a node: what it forwards, and what others forward to it.

use super::handle::Cluster;

/// What this node forwards to others and they to it: see [`Cluster::stats`].
///
/// Totals count since [`Cluster::new`], in requests, and never fall. The others are numbers of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClusterStats {
    /// Total of requests that this node has taken on for another one, however they have ended. Those that it refused
    /// at once are not among them: they are [`rejected`](crate::Stats::rejected) as `owner-lost` or `forwards-full`.
    pub forwarded: u64,
    /// How many of these were answered over a link, which costs less than a connection of their own.
    pub forwarded_over_links: u64,
    /// Total of requests that other nodes have forwarded to this one. What nodes ask each other is not counted.
    pub answered: u64,
    /// Requests that wait for another node, or whose answer still streams from there.
    pub waiting: usize,
    /// The most of them that wait for one node: beyond
    /// [`max_connections`](crate::ClusterOptions::max_connections), further ones are refused.
    pub waiting_for_one: usize,
    /// Links from this node to others, at most eight to each.
    pub links: usize,
    /// Other nodes to which this one has forwarded something, and has not forgotten: a second after the last use it does.
    pub nodes: usize,
    /// How many of these have been given up, and what is for them is refused at once.
    pub nodes_silent: usize,
    /// Total of times that a node was given up since it did not answer. One that refuses connections while nothing waits
    /// for it is not.
    pub nodes_given_up: u64,
}

impl Cluster {
    /// Returns the numbers of this node: what it forwards to others, and they to it.
    ///
    /// A call takes some short locks for each other node, and adds no cost to requests. Call it every few seconds, not
    /// for every request.
    ///
    /// ```
    /// # fn look(cluster: &axum_sockjs::Cluster, max_connections: usize) {
    /// let stats = cluster.stats();
    /// if stats.nodes_silent > 0 || stats.waiting_for_one > max_connections / 2 {
    ///     eprintln!("look at the other nodes: {stats:?}");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn stats(&self) -> ClusterStats {
        let totals = &self.owners().totals;
        let mut stats = ClusterStats {
            // First what is a part of the next.
            forwarded_over_links: totals.over_links.get(),
            forwarded: totals.forwarded.get(),
            answered: totals.answered.get(),
            nodes_given_up: totals.given_up.get(),
            ..ClusterStats::default()
        };
        for owner in self.owners().known() {
            let waiting = owner.waiting();
            stats.waiting += waiting;
            stats.waiting_for_one = stats.waiting_for_one.max(waiting);
            stats.links += owner.links.count();
            stats.nodes += 1;
            stats.nodes_silent += usize::from(owner.is_silent());
        }
        stats
    }

    /// Counts a request that another node has forwarded to this one.
    pub(crate) fn count_answered(&self) {
        self.owners().totals.answered.add();
    }
}
