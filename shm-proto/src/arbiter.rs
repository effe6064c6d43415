//! One word that lets exactly one of two sides win a decision.
//!
//! The protocol has two such decisions: who owns a queued request (the worker that starts it, or the node that cancels
//! or moves it), and who completes a call (the worker that fills the reply cell, or the caller that gives up). The word
//! holds `ticket << 1 | side`. Tickets of one word only grow, so "undecided" is any older ticket and nobody ever
//! resets the word between two uses.

use crate::sync::{AtomicU64, Ordering};

/// The two sides of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Side {
    /// The worker: it started the request, or it filled the reply cell.
    Worker = 0,
    /// The node: it took the request back, or the caller gave the reply cell up.
    Node = 1,
}

impl Side {
    fn of(word: u64) -> Side {
        if word & 1 == 0 { Side::Worker } else { Side::Node }
    }
}

/// The decision went to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not decide ticket: {}", match .by {
    Some(side) => format!("{side:?} was first"),
    None => "the word has moved on to a newer ticket".into(),
})]
pub struct Lost {
    /// Who has this ticket; `None` if the word already holds a newer one.
    pub by: Option<Side>,
}

/// A decision word, usually in shared memory. See the module documentation.
///
/// The peer can write anything into the word. What it gains is that the honest side loses a decision: a word that
/// cannot be won counts as decided by the peer.
#[derive(Debug)]
#[repr(transparent)]
pub struct Arbiter(AtomicU64);

impl Arbiter {
    /// A word on which no ticket was decided. Tickets start at 1.
    pub fn new() -> Self {
        Arbiter(AtomicU64::new(0))
    }

    /// Sees a word of shared memory as an arbiter.
    pub fn from_word(word: &AtomicU64) -> &Arbiter {
        // SAFETY: `Arbiter` is `repr(transparent)` over `AtomicU64`.
        unsafe { &*(word as *const AtomicU64).cast::<Arbiter>() }
    }

    /// Decides `ticket` for `side`, unless that happened already. Never waits: one load, at most one compare-and-swap.
    ///
    /// The winner's earlier writes are visible to whoever loses to it or peeks it.
    ///
    /// # Errors
    /// [`Lost`] if the ticket was decided by either side, or a newer ticket is in the word.
    #[inline]
    pub fn decide(&self, ticket: u64, side: Side) -> Result<(), Lost> {
        debug_assert!(ticket > 0 && ticket < 1 << 63);
        let lost = |word: u64| Lost { by: (word >> 1 == ticket).then(|| Side::of(word)) };
        let seen = self.0.load(Ordering::Acquire);
        if seen >> 1 >= ticket {
            return Err(lost(seen));
        }
        // SYNC POINT: pairs with the Acquire loads here and in `peek`. One attempt is enough: the only honest change of
        // an older word is the decision of this very ticket.
        self.0
            .compare_exchange(seen, ticket << 1 | side as u64, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
            .map_err(lost)
    }

    /// Who has decided `ticket`; `None` while it is undecided, and after a newer ticket took the word.
    #[inline]
    pub fn peek(&self, ticket: u64) -> Option<Side> {
        // SYNC POINT: pairs with the Release half of `decide`.
        let word = self.0.load(Ordering::Acquire);
        (word >> 1 == ticket).then(|| Side::of(word))
    }
}

impl Default for Arbiter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn first_side_wins_and_the_next_ticket_starts_afresh() {
        let word = Arbiter::new();
        assert_eq!(word.peek(1), None);
        assert_eq!(word.decide(1, Side::Node), Ok(()));
        assert_eq!(word.decide(1, Side::Worker), Err(Lost { by: Some(Side::Node) }));
        assert_eq!(word.decide(1, Side::Node), Err(Lost { by: Some(Side::Node) }));
        assert_eq!(word.decide(2, Side::Worker), Ok(()));
        assert_eq!(word.peek(2), Some(Side::Worker));
        assert_eq!(word.decide(1, Side::Node), Err(Lost { by: None }));
    }
}
