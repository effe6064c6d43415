//! Headers of requests and responses, extents, and what follows them: the parsed form is written back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shm_proto::request::{self, Extent};
use shm_proto::response::{self, Call, Status};

fuzz_target!(|data: &[u8]| {
    if let Ok(header) = request::Header::decode(data) {
        assert_eq!(request::Header::decode(&header.encode()), Ok(header));
        let body = header.body(data);
        assert!(body.is_none_or(|body| body.len() <= header.len as usize));
        let _ = (header.root(data), header.has_cell(), header.cell_ticket(), header.options.none());
        let _ = (header.options.unknown(), header.options.has(request::Options::NESTED));
        assert!(header.cell_index() < 4096);
        if let Some(Ok(extent)) = body.map(Extent::decode) {
            check(&extent);
        }
    }
    if let Ok(header) = response::Header::decode(data) {
        assert_eq!(response::Header::decode(&header.encode()), Ok(header));
        let rest = &data[response::Header::SIZE..];
        if let Some((call, behind)) = Call::decode(rest) {
            assert_eq!(Call::decode(&call.encode()), Some((call, &[][..])));
            assert_eq!(behind.len() + Call::SIZE, rest.len());
        }
        if let Ok(extent) = Extent::decode(rest) {
            check(&extent);
        }
    }
    if let Some(status) = data.first().and_then(|byte| Status::from_byte(*byte)) {
        assert_eq!(status as u8, data[0]);
    }
});

fn check(extent: &Extent) {
    assert!(extent.terms_len <= extent.total && extent.total <= i64::MAX as u64);
    assert!(extent.blobs_at() >= extent.terms_len && extent.blobs_at().is_multiple_of(64));
    assert_eq!(Extent::decode(&extent.encode()).as_ref(), Ok(extent));
}
