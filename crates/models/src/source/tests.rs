//! The cache as Python lays it out, offline errors, and downloads from a small server that breaks off, redirects and lies.
use super::*;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    sync::{Arc, Mutex},
};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn hub(cache: &Path) -> Hub {
    let variables = |name: &str| (name == "HF_HUB_CACHE").then(|| cache.to_str().unwrap().to_string());
    Hub { offline: true, ..Hub::from_variables(variables).unwrap() }
}

/// A repository in the cache: a small file, a large one named by its SHA-256, one in a folder.
fn fill(cache: &Path) -> PathBuf {
    let repo = cache.join("models--someone--model");
    let snapshot = repo.join("snapshots").join(COMMIT);
    fs::create_dir_all(snapshot.join("1_Pooling")).unwrap();
    fs::create_dir_all(repo.join("blobs")).unwrap();
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), COMMIT).unwrap();
    for (file, blob, bytes, up) in [
        ("config.json", "a".repeat(40), "{}", "../.."),
        ("model.safetensors", "b".repeat(64), "weights", "../.."),
        ("1_Pooling/config.json", "c".repeat(40), "{\"mean\": true}", "../../.."),
    ] {
        fs::write(repo.join("blobs").join(&blob), bytes).unwrap();
        symlink(format!("{up}/blobs/{blob}"), snapshot.join(file)).unwrap();
    }
    repo
}

#[test]
fn variables_are_those_of_huggingface_hub() {
    let read = |pairs: &[(&str, &str)]| {
        Hub::from_variables(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string()))
    };
    let at = |pairs: &[(&str, &str)]| read(pairs).unwrap().cache.display().to_string();
    assert_eq!(at(&[("HOME", "/h")]), "/h/.cache/huggingface/hub");
    assert_eq!(at(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), "/x/huggingface/hub");
    assert_eq!(at(&[("HOME", "/h"), ("HF_HOME", "~/hf")]), "/h/hf/hub");
    assert_eq!(at(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")]), "/c");
    assert!(read(&[]).unwrap_err().to_string().contains("HF_HOME"));
    for (value, offline) in
        [("1", true), ("true", true), ("YES", true), ("on", true), ("0", false), ("", false)]
    {
        assert_eq!(read(&[("HOME", "/h"), ("HF_HUB_OFFLINE", value)]).unwrap().offline, offline, "{value}");
    }
    let found = read(&[("HOME", "/h"), ("HF_ENDPOINT", "http://mirror/"), ("HF_TOKEN", " hf_x\n")]).unwrap();
    assert_eq!((found.endpoint.as_str(), found.token.as_deref()), ("http://mirror", Some("hf_x")));
    assert!(!format!("{found:?}").contains("hf_x"));
}

#[test]
fn the_cache_of_python_is_read() {
    let cache = tempfile::tempdir().unwrap();
    let repo = fill(cache.path());
    for name in
        ["someone/model", "hf-hub:someone/model", "someone/model@main", &format!("someone/model@{COMMIT}")]
    {
        let source = Source::open_with(name, &hub(cache.path())).unwrap();
        assert_eq!(source.revision(), Some(COMMIT));
        assert_eq!(source.read("config.json").unwrap().unwrap(), b"{}");
        assert_eq!(source.read("1_Pooling/config.json").unwrap().unwrap(), b"{\"mean\": true}");
        assert_eq!(source.read("absent.json").unwrap(), None);
        assert!(source.has("model.safetensors").unwrap() && !source.has("pytorch_model.bin").unwrap());
        assert_eq!(
            source.digest("model.safetensors").unwrap().unwrap(),
            format!("sha256:{}", "b".repeat(64))
        );
        assert_eq!(source.digest("config.json").unwrap().unwrap(), format!("blake3:{}", blake3::hash(b"{}")));
        assert!(
            source.describe().contains("commit 01234567")
                && source.place("x").starts_with(repo.to_str().unwrap())
        );
    }
}

#[test]
fn offline_without_a_copy_says_where_it_looked_and_what_to_do() {
    let cache = tempfile::tempdir().unwrap();
    fill(cache.path());
    for name in ["someone/other", "someone/model@v2"] {
        let error = Source::open_with(name, &hub(cache.path())).unwrap_err().to_string();
        let (id, _) = name.split_once('@').unwrap_or((name, ""));
        for part in [
            cache.path().to_str().unwrap(),
            "HF_HUB_OFFLINE",
            &format!("huggingface-cli download {id}"),
            name,
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    for name in ["./nothing/here", "/nothing/here", "../a", "a/b/c", "model", "a/..", "a/b@../c", "", "a/b@"]
    {
        let error = Source::open_with(name, &hub(cache.path())).unwrap_err().to_string();
        assert!(error.contains("no folder"), "{name}: {error}");
    }
    assert!(Source::open("builtin:nothing", None).unwrap_err().to_string().contains("no builtin:nothing"));
}

#[test]
fn names_of_files_stay_inside() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "x").unwrap();
    fs::create_dir(folder.path().join("model")).unwrap();
    let source = Source::open(folder.path().join("model").to_str().unwrap(), None).unwrap();
    for name in ["../secret", "/etc/passwd", "a/../../secret", "", "a\\b", "a\0b", "./secret"] {
        assert!(source.read(name).unwrap_err().to_string().contains("no name of a file"), "{name:?}");
    }
    assert_eq!((source.revision(), source.read("secret").unwrap()), (None, None));
}

#[test]
fn identities_change_with_any_byte_and_with_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::open(folder.path().to_str().unwrap(), None).unwrap();
    fs::write(folder.path().join("a"), "one").unwrap();
    fs::write(folder.path().join("b"), "two").unwrap();
    assert_eq!(source.digests(&["a"]).unwrap(), format!("blake3:{}", blake3::hash(b"one")));
    let both = source.digests(&["a", "b"]).unwrap();
    assert_ne!(both, source.digests(&["b", "a"]).unwrap());
    assert_ne!(both, source.digests(&["a", "c"]).unwrap());
    fs::write(folder.path().join("b"), "twO").unwrap();
    assert_ne!(both, source.digests(&["a", "b"]).unwrap());
}

/// A Hub in a thread: its files, and what was asked of it.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Answers a request (its head, and the byte that it wants to begin at).
type Answer = dyn Fn(&str, usize) -> Vec<u8> + Send + Sync;

impl Server {
    fn start(answer: Arc<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                Self::serve(stream, &log, &answer);
            }
        });
        Self { address, asked }
    }

    fn serve(mut stream: TcpStream, log: &Mutex<Vec<String>>, answer: &Arc<Answer>) {
        let mut head = String::new();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        while !head.ends_with("\r\n\r\n") && lines.read_line(&mut head).unwrap_or(0) > 0 {}
        let path = head.split(' ').nth(1).unwrap_or_default().to_string();
        let lower = head.to_lowercase();
        let from = lower.split("range: bytes=").nth(1).and_then(|rest| rest.split('-').next()?.parse().ok());
        let token = if lower.contains("authorization: bearer hf_secret") { " with token" } else { "" };
        log.lock().unwrap().push(format!("{path} from {}{token}", from.unwrap_or(0)));
        let _ = stream.write_all(&answer(&path, from.unwrap_or(0)));
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn reply(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    [text.as_bytes(), b"\r\n", body].concat()
}

const LARGE: usize = 300_000;

fn large() -> Vec<u8> {
    (0..LARGE).map(|i| (i * i / 7) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    format!("{:x}", sha2::Sha256::digest(bytes))
}

/// A Hub with a small file, and a large one on a server of its own whose first answer breaks off in the middle.
fn servers(damaged: bool) -> (Server, Server) {
    let broken = Mutex::new(false);
    let store = Server::start(Arc::new(move |_, from| {
        let mut body = large();
        if damaged {
            body[7] ^= 1;
        }
        let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
        let mut answer = reply(status, &[("ETag", "\"not-this\"")], &body[from..]);
        if !std::mem::replace(&mut *broken.lock().unwrap(), true) {
            answer.truncate(answer.len() / 2);
        }
        answer
    }));
    let elsewhere = format!("{}/signed?x=1", store.address);
    let tag = format!("\"{}\"", sha256(&large()));
    let listing = format!(
        "{{\"sha\": \"{COMMIT}\", \"siblings\": [{}]}}",
        ["config.json", "model.safetensors", "1_Pooling/config.json"]
            .map(|name| format!("{{\"rfilename\": \"{name}\"}}"))
            .join(", ")
    );
    let git = format!("W/\"{}\"", "d".repeat(40));
    let front = Server::start(Arc::new(move |path, _| match path {
        "/api/models/someone/busy/revision/main" => reply("503 Service Unavailable", &[], b""),
        "/api/models/someone/gated/revision/main" => reply("403 Forbidden", &[], b""),
        _ if path.starts_with("/api/models/someone/model/revision/") => {
            reply("200 OK", &[], listing.as_bytes())
        }
        _ if path.ends_with("/1_Pooling/config.json") => {
            reply("307 Temporary Redirect", &[("Location", "/cached/pooling")], b"")
        }
        _ if path.ends_with("/config.json") => reply("200 OK", &[("ETag", &git)], b"{\"a\": 1}"),
        "/cached/pooling" => reply("200 OK", &[("ETag", &"e".repeat(40))], b"{}"),
        _ if path.ends_with("/model.safetensors") => reply(
            "302 Found",
            &[("Location", &elsewhere), ("X-Linked-Etag", &tag), ("X-Linked-Size", &LARGE.to_string())],
            b"",
        ),
        _ => reply("404 Not Found", &[], b""),
    }));
    (front, store)
}

fn online(cache: &Path, server: &Server) -> Hub {
    Hub { offline: false, endpoint: server.address.clone(), token: Some("hf_secret".into()), ..hub(cache) }
}

#[test]
fn downloads_go_into_the_cache_of_python_and_go_on_where_they_broke() {
    let cache = tempfile::tempdir().unwrap();
    let (front, store) = servers(false);
    let progress = Arc::new(Mutex::new(BTreeMap::new()));
    let told = progress.clone();
    let hub = Hub {
        progress: Some(Arc::new(move |now: Progress| {
            told.lock().unwrap().insert(now.file.to_string(), (now.done, now.total));
        })),
        ..online(cache.path(), &front)
    };
    let source = Source::open_with("someone/model", &hub).unwrap();
    assert_eq!(source.read("config.json").unwrap().unwrap(), b"{\"a\": 1}");
    assert_eq!(source.read("1_Pooling/config.json").unwrap().unwrap(), b"{}");
    assert_eq!(source.read("model.safetensors").unwrap().unwrap(), large());
    assert_eq!(source.read("absent.json").unwrap(), None);
    assert_eq!(progress.lock().unwrap()["model.safetensors"], (LARGE as u64, Some(LARGE as u64)));

    // The token went to the Hub and not to the other server; the second try of the large file began in the middle.
    assert!(front.asked().iter().all(|line| line.ends_with("with token")));
    let asked = store.asked();
    assert!(asked.iter().all(|line| !line.contains("token")), "{asked:?}");
    assert!(
        asked.last().unwrap().split(' ').nth(2).unwrap().parse::<usize>().unwrap() > LARGE / 4,
        "{asked:?}"
    );

    // As huggingface_hub lays it out.
    let repo = cache.path().join("models--someone--model");
    assert_eq!(fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
    let link = |file: &str| fs::read_link(repo.join("snapshots").join(COMMIT).join(file)).unwrap();
    assert_eq!(link("config.json"), PathBuf::from(format!("../../blobs/{}", "d".repeat(40))));
    assert_eq!(link("1_Pooling/config.json"), PathBuf::from(format!("../../../blobs/{}", "e".repeat(40))));
    assert!(repo.join(".no_exist").join(COMMIT).join("absent.json").exists());
    assert_eq!(source.digest("model.safetensors").unwrap().unwrap(), format!("sha256:{}", sha256(&large())));
    let left: Vec<_> = fs::read_dir(repo.join("blobs")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(
        left.len() == 3 && left.iter().all(|name| !name.to_str().unwrap().ends_with("incomplete")),
        "{left:?}"
    );

    // Again, and offline: from the cache alone.
    let again = Source::open_with("someone/model", &hub).unwrap();
    assert_eq!(again.read("model.safetensors").unwrap().unwrap(), large());
    assert_eq!(again.read("absent.json").unwrap(), None);
    assert_eq!((front.asked(), store.asked()), (vec![], vec![]));
    let offline = Source::open_with("someone/model", &Hub { offline: true, ..hub }).unwrap();
    assert_eq!(offline.revision(), Some(COMMIT));
}

#[test]
fn damaged_and_refused_downloads_are_no_files() {
    let cache = tempfile::tempdir().unwrap();
    let (front, _store) = servers(true);
    let hub = online(cache.path(), &front);
    let source = Source::open_with("someone/model", &hub).unwrap();
    let error = source.read("model.safetensors").unwrap_err().to_string();
    assert!(error.contains("damaged: SHA-256") && error.contains("model.safetensors"), "{error}");
    assert_eq!(fs::read_dir(cache.path().join("models--someone--model/blobs")).unwrap().count(), 0);
    for (name, part) in [
        ("someone/nothing", "has no such model"),
        ("someone/gated", "set HF_TOKEN"),
        ("someone/busy", "answered 503"),
    ] {
        let error = Source::open_with(name, &hub).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains(&front.address), "{name}: {error}");
    }
    let nowhere = Hub { endpoint: "http://127.0.0.1:1".into(), ..hub };
    let error = Source::open_with("someone/unknown", &nowhere).unwrap_err().to_string();
    assert!(error.contains("cannot reach http://127.0.0.1:1"), "{error}");
    // What is cached is used without the network; what is not known is said to be so.
    let source = Source::open_with("someone/model", &nowhere).unwrap();
    let error = source.read("config.json").unwrap_err().to_string();
    assert!(error.contains("HF_HUB_OFFLINE=1"), "{error}");
}

#[test]
fn the_embedded_model_is_its_folder() {
    let embedded = Source::open("builtin:demo-clip", Some(true)).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("builtin/demo-clip");
    let folder = Source::open(folder.to_str().unwrap(), Some(true)).unwrap();
    for file in ["config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"] {
        assert_eq!(embedded.digest(file).unwrap().unwrap(), folder.digest(file).unwrap().unwrap(), "{file}");
        assert!(embedded.has(file).unwrap() && embedded.path(file).unwrap().is_none());
    }
    assert_eq!((embedded.read("absent").unwrap(), embedded.revision()), (None, None));
    let weights = crate::weights::Weights::open(&embedded, crate::weights::Layout::HuggingFace).unwrap();
    let name = weights.names().next().unwrap();
    assert!(weights.tensor(name, weights.shape(name).unwrap()).unwrap().iter().all(|x| x.is_finite()));
    let mut past = [0; 2];
    let blob = embedded.blob("config.json").unwrap().unwrap();
    assert!(blob.read_at(blob.len() - 1, &mut past).is_err() && blob.read_at(u64::MAX, &mut past).is_err());
    let error = Source::open("builtin:demo", None).unwrap_err().to_string();
    assert!(error.contains("there is builtin:demo-clip"), "{error}");
}
