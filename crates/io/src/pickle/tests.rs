//! Real pickles are read, every mutilation of them is refused or read without a panic, and no name off the list gets through.
use super::*;
use proptest::prelude::*;

fn read(bytes: &[u8]) -> Result<Pickle, PickleError> {
    Pickle::read(bytes, &Limits::default())
}

/// `pickle.dumps([1, -2, 2**70, 1.5, 'é', b'\xff', (True, None), {'a': {3}}], p)`, written down from Python 3.11.
const PROTOCOL_0: &[u8] = b"(lp0\nI1\naI-2\naL1180591620717411303424L\naF1.5\naV\xe9\np1\nac_codecs\nencode\np2\n(V\xff\np3\nVlatin1\np4\ntp5\nRp6\na(I01\nNtp7\na(dp8\nVa\np9\nc__builtin__\nset\np10\n((lp11\nI3\natp12\nRp13\nsa.";

#[test]
fn plain_data_of_the_oldest_and_the_newest_protocol() {
    // Protocol 4 of the same value but for the large number.
    let newest = b"\x80\x04\x95\x30\0\0\0\0\0\0\0]\x94(K\x01J\xfe\xff\xff\xff\x8a\x09\0\0\0\0\0\0\0\0\x40G?\xf8\0\0\0\0\0\0\x8c\x02\xc3\xa9\x94C\x01\xff\x94\x88N\x86\x94}\x94\x8c\x01a\x94\x8f\x94(K\x03\x90se.";
    let pickle = read(newest).unwrap();
    let Node::List(items) = pickle.root() else { panic!("{:?}", pickle.root()) };
    let nodes: Vec<&Node> = items.iter().map(|&id| pickle.node(id)).collect();
    assert_eq!(nodes[..2], [&Node::Int(1), &Node::Int(-2)]);
    assert!(matches!(nodes[2], Node::BigInt(bytes) if bytes.len() == 9));
    assert_eq!(nodes[3..6], [&Node::Float(1.5), &Node::Str("é".into()), &Node::Bytes(vec![255])]);
    let set = pickle.entry(items[7], "a").unwrap();
    assert!(matches!(set, Node::Set(items) if *pickle.node(items[0]) == Node::Int(3)));

    // Protocol 0 writes 2**70 as digits, which is refused as a number and not cut.
    assert_eq!(read(PROTOCOL_0).unwrap_err().problem, Problem::Broken("a number that is none"));
    let small = String::from_utf8_lossy(PROTOCOL_0).into_owned();
    assert!(small.contains("L1180591620717411303424L"));
    let start = PROTOCOL_0.windows(24).position(|w| w == b"L1180591620717411303424L").unwrap();
    let mut bytes = PROTOCOL_0.to_vec();
    bytes.splice(start..start + 24, *b"L7L");
    let pickle = read(&bytes).unwrap();
    let Node::List(items) = pickle.root() else { panic!("{:?}", pickle.root()) };
    assert_eq!(items.len(), 8);
    assert_eq!(*pickle.node(items[5]), Node::Bytes(vec![255]));
    assert!(matches!(pickle.entry(items[7], "a").unwrap(), Node::Set(items) if items.len() == 1));
}

#[test]
fn everything_that_would_run_code_is_refused_with_its_name_and_place() {
    for (bytes, name, offset) in [
        (&b"cos\nsystem\n(S'id'\ntR."[..], "os.system", 0),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.", "posix.system", 17),
        (b"\x80\x02cbuiltins\neval\nX\x01\0\0\0x\x85R.", "builtins.eval", 2),
        (b"\x80\x02cpygtrie\nos.system\n.", "pygtrie.os.system", 2),
        (b"\x80\x02c_codecs\nencode\nX\x01\0\0\0xX\x03\0\0\0hex\x86R.", "_codecs.encode(\u{2026})", 33),
    ] {
        let error = read(bytes).unwrap_err();
        assert_eq!(error.problem, Problem::Forbidden(name.into()));
        assert_eq!(error.offset, offset, "{name}");
    }
    for opcode in [b'i', b'o', b'P', b'Q', 0x82, 0x83, 0x84, 0x92, 0x97, 0x98] {
        assert_eq!(
            read(&[0x80, 2, b'(', opcode]).unwrap_err(),
            PickleError { offset: 3, problem: Problem::Opcode(opcode) }
        );
    }
}

#[test]
fn bombs_stay_small() {
    assert_eq!(read(&vec![b'('; 20_000]).unwrap_err().problem, Problem::TooLarge("marks"));
    let limits = Limits { nodes: 100, ..Limits::default() };
    let many = [&b"]("[..], &[b'N'; 200], b"e."].concat();
    assert_eq!(Pickle::read(&many, &limits).unwrap_err().problem, Problem::TooLarge("values"));
    assert_eq!(read(b"]r\xff\xff\xff\xff.").unwrap_err().problem, Problem::TooLarge("memo places"));
    assert_eq!(read(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff").unwrap_err().problem, Problem::Truncated);
    // A list that contains itself, and one in one in one: neither is walked.
    assert!(read(b"]q\x00h\x00a.").is_ok());
    assert!(read(&[&vec![b']'; 100_000][..], &vec![b'a'; 99_999], b"."].concat()).is_ok());
}

fn trie() -> Vec<u8> {
    let keys = crate::subset::KeySubset::new(vec![("a/b".into(), 1), ("a/c".into(), 2), ("x".into(), 1)]);
    crate::subset::trie_pickle(&keys)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
    }

    #[test]
    fn mutated_pickles_never_panic(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4), cut in any::<usize>()) {
        for mut bytes in [trie(), PROTOCOL_0.to_vec()] {
            for (at, value) in &changes {
                let length = bytes.len();
                bytes[at % length] = *value;
            }
            let _ = read(&bytes);
            bytes.truncate(cut % bytes.len());
            let _ = read(&bytes);
        }
    }
}
