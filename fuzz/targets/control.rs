//! Control frames in both directions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shm_proto::control::{FromWorker, Handshake, ToWorker};

fuzz_target!(|data: &[u8]| {
    if let Ok(frame) = ToWorker::decode(data) {
        let bytes = frame.encode().expect("it was one");
        assert_eq!(bytes, data);
        if let ToWorker::Handshake(handshake) = frame {
            assert!(handshake.geometry.validate().is_ok());
            let (down, up) = (handshake.geometry.down(), handshake.geometry.up());
            assert!(down.total < 4 << 30 && up.total < 4 << 30);
            assert_eq!(Handshake::decode(data), Ok(*handshake));
        }
    }
    if let Ok(frame) = FromWorker::decode(data) {
        let bytes = frame.encode();
        assert_eq!(FromWorker::decode(&bytes), Ok(frame));
    }
});
