//! Whose turn it is for work that takes long (compression; passwords): few at once, and the same work once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// More than this don't wait for their turn.
const WAITING_MAX: usize = 64;

/// What is under way at present, by a key.
#[derive(Debug)]
pub(crate) struct Turns<K> {
    turns_max: usize,
    state: Mutex<State<K>>,
    ended: Condvar,
}

#[derive(Debug)]
struct State<K> {
    under_way: Vec<K>,
    waiting: usize,
}

/// A turn, over when it is dropped, panic or not.
#[derive(Debug)]
pub(crate) struct Turn<'t, K: PartialEq + Copy> {
    turns: &'t Turns<K>,
    key: K,
}

impl<K: PartialEq + Copy> Turns<K> {
    pub(crate) fn new(turns_max: usize) -> Self {
        let state = State { under_way: Vec::with_capacity(turns_max), waiting: 0 };
        Self { turns_max, state: Mutex::new(state), ended: Condvar::new() }
    }

    /// A turn, if there is one now.
    pub(crate) fn try_begin(&self, key: K) -> Option<Turn<'_, K>> {
        self.begin_in(&mut self.lock(), key)
    }

    /// A turn, as soon as there is one; none where too many wait already.
    pub(crate) fn begin(&self, key: K) -> Option<Turn<'_, K>> {
        let mut state = self.lock();
        if let Some(turn) = self.begin_in(&mut state, key) {
            return Some(turn);
        }
        if state.waiting == WAITING_MAX {
            return None;
        }
        state.waiting += 1;
        loop {
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
            if let Some(turn) = self.begin_in(&mut state, key) {
                state.waiting -= 1;
                return Some(turn);
            }
        }
    }

    fn begin_in(&self, state: &mut State<K>, key: K) -> Option<Turn<'_, K>> {
        if state.under_way.len() == self.turns_max || state.under_way.contains(&key) {
            return None;
        }
        state.under_way.push(key);
        Some(Turn { turns: self, key })
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: PartialEq + Copy> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        self.turns.lock().under_way.retain(|key| *key != self.key);
        self.turns.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn there_are_so_many_turns_and_one_for_each_key() {
        let turns = Turns::new(2);
        let one = turns.try_begin(1).unwrap();
        assert!(turns.try_begin(1).is_none(), "it is under way");
        let _two = turns.try_begin(2).unwrap();
        assert!(turns.try_begin(3).is_none(), "that would be three");
        drop(one);
        assert!(turns.try_begin(3).is_some());
    }

    #[test]
    fn who_waits_has_a_turn_of_its_own() {
        let (turns, at_once, done) = (Turns::new(1), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let _turn = turns.begin(0).unwrap();
                    assert_eq!(at_once.fetch_add(1, Ordering::SeqCst), 0);
                    thread::yield_now();
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(done.into_inner(), 20);
    }

    #[test]
    fn not_everybody_may_wait() {
        let turns = Turns::new(1);
        thread::scope(|scope| {
            let turn = turns.begin(0).unwrap();
            (0..WAITING_MAX).for_each(|_| drop(scope.spawn(|| turns.begin(0).map(drop))));
            while turns.lock().waiting < WAITING_MAX {
                thread::yield_now();
            }
            assert!(turns.begin(0).is_none());
            drop(turn);
        });
        assert!(turns.begin(0).is_some());
    }

    /// A panic of one compression must not keep the others waiting for ever.
    #[test]
    fn a_panic_ends_its_turn() {
        let turns = Turns::new(1);
        let panicked = thread::scope(|scope| {
            let work = scope.spawn(|| {
                let _turn = turns.begin(0);
                panic!("as it is tried here");
            });
            work.join().is_err()
        });
        assert!(panicked && turns.try_begin(0).is_some());
    }
}
