//! Callback slots and reply cells: tickets, states and flags that a worker makes up.
#![no_main]

use std::sync::atomic::Ordering::Relaxed;

use erlang_python_fuzz::Input;
use libfuzzer_sys::fuzz_target;
use shm_proto::arbiter::{Arbiter, Side};
use shm_proto::bell::Flag;
use shm_proto::callback::{Answers, CALLBACK_PAYLOAD, SlotMemory, Waiter};
use shm_proto::cell::{CELL_PAYLOAD, CellMemory, CellWriter, Cells};
use shm_proto::layout::{CALLBACK_SLOT, CELL};
use shm_proto::memory::{Bytes, Words};
use shm_proto::request::Place;

const SLOTS: usize = 4;
const CELLS: usize = 4;

/// Shared memory, used again by every run: mappings cost more than all else.
#[derive(Clone)]
struct Memory {
    slots: SlotMemory,
    cells: CellMemory,
    waiting: Words,
    awaited: Words,
    words: Words,
    cell_bytes: Bytes,
    start: Words,
    /// All of their words.
    all: [Words; 6],
}

thread_local! {
    static MEMORY: Memory = {
        let bytes = Bytes::heap(SLOTS * CALLBACK_SLOT);
        let states = Words::new(bytes.mapping(), 0, SLOTS, CALLBACK_SLOT);
        let (waiting, count, awaited, start) = (Words::heap(SLOTS), Words::heap(1), Words::heap(1), Words::heap(1));
        let cell_bytes = Bytes::heap(CELLS * CELL);
        let words = Words::new(cell_bytes.mapping(), 0, CELLS, CELL);
        Memory {
            slots: SlotMemory::new(states.clone(), bytes, waiting.clone(), count.clone(), awaited.clone()),
            cells: CellMemory::new(words.clone(), cell_bytes.clone()),
            all: [states, waiting.clone(), count, awaited.clone(), start.clone(), words.clone()],
            waiting,
            awaited,
            words,
            cell_bytes,
            start,
        }
    };
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let Memory { slots, cells: memory, waiting, awaited, words, cell_bytes, start, all } = MEMORY.with(Memory::clone);
    all.iter().for_each(|words| (0..words.len()).for_each(|index| words.at(index).store(0, Relaxed)));
    let (answers, waiter) = (Answers::new(slots.clone()), Waiter::new(slots));
    let (cells, writer) = (Cells::new(memory.clone()), CellWriter::new(memory));
    let mut open = [0u64; SLOTS];
    while !input.is_empty() {
        let slot = input.near(SLOTS as u64 + 1) as usize;
        let ticket = input.near(6);
        match input.u8() % 10 {
            0 => {
                let opened = answers.open(slot, ticket).is_ok();
                assert_eq!(opened, slot < SLOTS && ticket != 0 && open[slot] == 0);
                if opened {
                    open[slot] = ticket;
                }
            }
            1 | 2 => {
                let payload = [3; CALLBACK_PAYLOAD + 1];
                let len = input.near(CALLBACK_PAYLOAD as u64 + 2) as usize % payload.len();
                let answered = answers.reply(slot, ticket, Place::Inline, &payload[..len]).is_ok();
                assert_eq!(answered, slot < SLOTS && ticket != 0 && open[slot] == ticket);
                if answered {
                    open[slot] = 0;
                    assert!(waiter.is_ready(slot, ticket));
                    let mut out = Vec::new();
                    assert_eq!(waiter.read(slot, &mut out), Ok(Place::Inline));
                    assert_eq!(out.len(), len);
                }
            }
            3 => {
                Flag::from_word(waiting.at(slot % SLOTS)).raise();
                awaited.at(0).store(input.u64(), Relaxed);
            }
            4 => words
                .at(slot % CELLS)
                .store(if input.u8() < 16 { input.u64() } else { ticket << 1 | 1 & input.u64() }, Relaxed),
            5 => {
                let at = input.near(CELL as u64) as usize % (CELL * CELLS - 8);
                cell_bytes.write(at, &input.u64().to_le_bytes());
            }
            6 => {
                if cells.poll(slot % CELLS, ticket) {
                    let mut out = [0; CELL_PAYLOAD];
                    if let Ok(len) = cells.read(slot % CELLS, &mut out) {
                        assert!(len <= CELL_PAYLOAD);
                    }
                }
            }
            7 => drop(cells.abandon(slot % CELLS, (ticket & u64::MAX >> 2).max(1))),
            8 => drop(writer.complete(slot, ticket & u64::MAX >> 2, &[1; 250][..input.u8() as usize % 250])),
            _ => {
                start.at(0).store(input.u64(), Relaxed);
                let word = Arbiter::from_word(start.at(0));
                let ticket = (ticket & u64::MAX >> 2).max(1);
                let seen = word.peek(ticket);
                assert_eq!(
                    word.decide(ticket, Side::Node).is_ok(),
                    start.at(0).load(Relaxed) == ticket << 1 | 1 && seen.is_none()
                );
            }
        }
    }
});
