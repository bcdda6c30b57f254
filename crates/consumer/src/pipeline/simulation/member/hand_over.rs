//! How a process gives up partitions: `Group::hand_over`, `Engine::drain`, `Source::leave`.

use super::super::super::Commit;
use super::super::servers::Servers;
use super::{Life, Process, SentCommit, State, number};

impl Process {
    /// `Group::hand_over`.
    pub(super) fn revoke(
        &mut self,
        servers: &mut Servers,
        partitions: Vec<i32>,
        lost: bool,
    ) -> bool {
        let now_ms = servers.now_ms;
        if lost || self.membership.is_doubtful(now_ms, &servers.timing) {
            servers.note("lost", self.slot, number(partitions.len()), 0);
            self.forget(&partitions);
            servers.group.release(self.slot, &partitions);
            return true;
        }
        servers.note("revoked", self.slot, number(partitions.len()), 0);
        let deadline_ms = now_ms + servers.timing.drain_timeout_ms;
        let commits = Vec::new();
        self.state = State::Draining { partitions, commits, deadline_ms, leaving: false };
        false
    }

    fn forget(&mut self, partitions: &[i32]) {
        self.pipeline.remove(partitions);
        self.lanes.retain(|partition, _| !partitions.contains(partition));
    }

    pub(super) fn drain(
        &mut self,
        servers: &mut Servers,
        partitions: Vec<i32>,
        mut commits: Vec<Commit>,
        deadline_ms: u64,
        leaving: bool,
    ) {
        if self.committer.under_way && servers.now_ms < deadline_ms {
            self.state = State::Draining { partitions, commits, deadline_ms, leaving };
            return;
        }
        if std::mem::take(&mut self.committer.failed) {
            servers.note("commit repeated late", self.slot, 0, 0);
            self.pipeline.repeat_commits();
        }
        self.pipeline.settle(&partitions, servers.instant());
        let open =
            |partition| self.pipeline.lanes.get(partition).map_or(0, |lane| lane.open().rows);
        assert_eq!(partitions.iter().map(open).sum::<usize>(), 0, "I7: rows left to their age");
        self.pump(servers);
        for commit in self.take_commits(servers) {
            commits.retain(|earlier| earlier.partition != commit.partition);
            commits.push(commit);
        }
        let settled = self.pipeline.is_settled(&partitions);
        if !settled && servers.now_ms < deadline_ms {
            self.state = State::Draining { partitions, commits, deadline_ms, leaving };
            return;
        }
        let kind = if settled { "drained" } else { "drain gave up" };
        servers.note(kind, self.slot, number(partitions.len()), number(commits.len()));
        let commits = self.with_lives(commits);
        self.forget(&partitions);
        let more_ms = if leaving { 0 } else { servers.timing.drain_timeout_ms };
        let deadline_ms = deadline_ms + more_ms;
        self.state = State::Committing { commits, partitions, sent: false, deadline_ms, leaving };
    }

    pub(super) fn commit_and_wait(
        &mut self,
        servers: &mut Servers,
        commits: Vec<SentCommit>,
        partitions: Vec<i32>,
        sent: bool,
        deadline_ms: u64,
        leaving: bool,
    ) -> Life {
        let late = servers.now_ms >= deadline_ms;
        if self.committer.under_way && !late {
            self.state = State::Committing { commits, partitions, sent, deadline_ms, leaving };
            return Life::GoesOn;
        }
        if !sent && !commits.is_empty() && !self.committer.under_way {
            self.send_commit(servers, commits);
            let commits = Vec::new();
            self.state =
                State::Committing { commits, partitions, sent: true, deadline_ms, leaving };
            return Life::GoesOn;
        }
        let failed = self.committer.under_way && (sent || !commits.is_empty())
            || sent && std::mem::take(&mut self.committer.failed);
        if leaving {
            return Life::Left;
        }
        if failed {
            servers.note("last commit failed", self.slot, 0, 0);
            self.pipeline.repeat_commits();
        }
        if self.is_member(&servers.group) {
            servers.group.release(self.slot, &partitions);
        }
        Life::GoesOn
    }
}
