//! `croissant.json`: the folder in the words of ML Commons' Croissant 1.1 (JSON-LD), so that programs find its files, their hashes and the fields
//! of their records, and how all of it came about.
//!
//! Record sets are those that the reference reader, mlcroissant, can load: it joins no files of archives, so the pictures, texts and json members of
//! tars are record sets of their own, with one `key`; the parquet export is one record set with everything.
use serde_json::{Map, Value, json};

use super::{
    Facts, provenance,
    published::{Item, Kind, Member, Published},
};
use crate::report::format::{count, counted};

const VERSION: &str = "http://mlcommons.org/croissant/1.1";
/// What a file name is without folder and ending: the sample's key.
const KEY: &str = r"^(?:.*/)?([^/]+?)\.[^./]+$";

/// The document.
pub fn document(facts: &Facts<'_>) -> Value {
    let Facts { options, published, .. } = facts;
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        out.insert(key.into(), value);
    };
    put("@context", context());
    put("@type", json!("sc:Dataset"));
    put("conformsTo", json!(VERSION));
    put("name", json!(facts.name));
    put("alternateName", json!(options.pretty_name));
    put("description", json!(facts.summary()));
    put("license", json!(options.license.as_deref().unwrap_or("unknown")));
    if let Some(page) = options.page() {
        put("url", json!(page));
    }
    let agent = |kind: &'static str| move |name: &String| json!({ "@type": kind, "name": name });
    let creators: Vec<Value> = options
        .creators
        .iter()
        .map(agent("Person"))
        .chain(options.organizations.iter().map(agent("Organization")))
        .collect();
    if !creators.is_empty() {
        put("creator", json!(creators));
    }
    put("datePublished", json!(options.date));
    put("version", json!("1.0.0"));
    put("keywords", json!(facts.tags()));
    if !options.languages.is_empty() {
        put("inLanguage", json!(options.languages));
    }
    put("distribution", distribution(published));
    put("recordSet", record_sets(published));
    provenance::add(facts, &mut out);
    Value::Object(out)
}

/// The context of the specification's appendix, and PROV-O.
fn context() -> Value {
    let mut context = Map::new();
    for (key, value) in [
        ("@language", "en"),
        ("@vocab", "https://schema.org/"),
        ("sc", "https://schema.org/"),
        ("cr", "http://mlcommons.org/croissant/"),
        ("rai", "http://mlcommons.org/croissant/RAI/"),
        ("dct", "http://purl.org/dc/terms/"),
        ("prov", "http://www.w3.org/ns/prov#"),
        ("conformsTo", "dct:conformsTo"),
    ] {
        context.insert(key.into(), json!(value));
    }
    for own in [
        "annotation",
        "arrayShape",
        "citeAs",
        "column",
        "containedIn",
        "equivalentProperty",
        "excludes",
        "extract",
        "field",
        "fileObject",
        "fileProperty",
        "fileSet",
        "format",
        "includes",
        "isArray",
        "isLiveDataset",
        "jsonPath",
        "key",
        "md5",
        "parentField",
        "path",
        "readLines",
        "recordSet",
        "references",
        "regex",
        "repeated",
        "replace",
        "samplingRate",
        "sdVersion",
        "separator",
        "source",
        "subField",
        "transform",
        "unArchive",
        "value",
    ] {
        context.insert(own.into(), json!(format!("cr:{own}")));
    }
    context.insert("data".into(), json!({ "@id": "cr:data", "@type": "@json" }));
    context.insert("examples".into(), json!({ "@id": "cr:examples", "@type": "@json" }));
    context.insert("dataType".into(), json!({ "@id": "cr:dataType", "@type": "@vocab" }));
    for text in ["name", "description"] {
        context.insert(text.into(), json!({ "@container": "@language" }));
    }
    Value::Object(context)
}

fn distribution(published: &Published) -> Value {
    let mut out: Vec<Value> = published.items.iter().map(file).collect();
    let mut set = |id: &str, about: &str, format: Value, includes: Value, inside: bool| {
        let mut set = json!({ "@type": "cr:FileSet", "@id": id, "name": id, "description": about });
        if inside {
            let tars = published.of(Kind::Tar).map(|tar| json!({ "@id": tar.path }));
            set["containedIn"] = tars.collect();
        }
        set["encodingFormat"] = format;
        set["includes"] = includes;
        out.push(set);
    };
    if let Some(glob) = published.glob(Kind::Tar) {
        set("tars", "The webdataset tars", json!("application/x-tar"), json!(glob), false);
        let images = &published.tars.images;
        if !images.is_empty() {
            let formats: Vec<String> = images.iter().map(|end| media(end)).collect();
            let globs: Vec<String> = images.iter().map(|end| format!("*.{end}")).collect();
            set("image-files", "The pictures in the tars", json!(formats), json!(globs), true);
        }
        if published.tars.has_text {
            set("text-files", "The captions in the tars", json!("text/plain"), json!("*.txt"), true);
        }
        if !published.tars.json.is_empty() {
            let about = "The metadata of the samples in the tars";
            set("json-files", about, json!("application/json"), json!("*.json"), true);
        }
    }
    let parquet = json!("application/x-parquet");
    if let Some(glob) = published.glob(Kind::Table) {
        set("tables", "The samples with their pictures", parquet.clone(), json!(glob), false);
    }
    if let Some(glob) = published.glob(Kind::Selection) {
        set("selection-files", "What became of every sample", parquet, json!(glob), false);
    }
    json!(out)
}

fn file(item: &Item) -> Value {
    let (format, about) = match item.kind {
        Kind::Tar => ("application/x-tar", "Samples: members with one key"),
        Kind::Table => ("application/x-parquet", "Samples with their pictures"),
        Kind::Subset => ("application/x-npy", "Uids that were kept, as NumPy's u8,u8, sorted"),
        Kind::Selection => ("application/x-parquet", "What became of the samples of one shard of the input"),
        Kind::Recipe => ("application/toml", "The recipe, every default written out"),
    };
    let records =
        item.records.map_or(String::new(), |records| format!("; {}", counted(records, "record", "records")));
    json!({
        "@type": "cr:FileObject",
        "@id": item.path,
        "name": item.path,
        "description": format!("{about}{records}"),
        "contentUrl": item.path,
        "contentSize": format!("{} B", item.bytes),
        "encodingFormat": format,
        "sha256": item.sha256,
    })
}

fn media(end: &str) -> String {
    let kind = match end {
        "jpg" => "jpeg",
        "tif" => "tiff",
        end => end,
    };
    format!("image/{kind}")
}

/// A record set under construction.
struct Records {
    id: &'static str,
    set: &'static str,
    fields: Vec<Value>,
}

impl Records {
    fn new(id: &'static str, set: &'static str) -> Self {
        Self { id, set, fields: Vec::new() }
    }

    fn field(
        &mut self,
        name: &str,
        kind: &str,
        about: &str,
        extract: Value,
        transform: Option<Value>,
    ) -> &mut Value {
        let mut source = json!({ "fileSet": { "@id": self.set }, "extract": extract });
        if let Some(transform) = transform {
            source["transform"] = transform;
        }
        self.fields.push(json!({
            "@type": "cr:Field",
            "@id": format!("{}/{name}", self.id),
            "name": name,
            "description": about,
            "dataType": kind,
            "source": source,
        }));
        let last = self.fields.len() - 1;
        &mut self.fields[last]
    }

    fn key(&mut self) {
        let name = json!({ "fileProperty": "filename" });
        let about = "The name of the sample's members up to the ending";
        self.field("key", "sc:Text", about, name, Some(json!({ "regex": KEY })));
    }

    fn members(&mut self, members: &[Member], from: impl Fn(&str) -> (Value, Option<Value>)) {
        for member in members {
            let (extract, transform) = from(&member.name);
            let field = self.field(&member.name, member.kind, about(&member.name), extract, transform);
            if member.is_list {
                field["isArray"] = json!(true);
                field["arrayShape"] = json!("-1");
            }
        }
    }

    fn done(self, about: String, key: &str) -> Value {
        json!({
            "@type": "cr:RecordSet",
            "@id": self.id,
            "name": self.id,
            "description": about,
            "key": { "@id": format!("{}/{key}", self.id) },
            "field": self.fields,
        })
    }
}

fn record_sets(published: &Published) -> Value {
    let mut out = Vec::new();
    let content = || json!({ "fileProperty": "content" });
    let column = |name: &str| (json!({ "column": name }), None);
    if let Some(rows) = published.records(Kind::Table) {
        let mut samples = Records::new("samples", "tables");
        let bytes = Some(json!({ "jsonPath": "bytes" }));
        samples.field("image", "sc:ImageObject", "The picture", json!({ "column": "image" }), bytes);
        samples.members(&published.columns, column);
        out.push(samples.done(format!("The {} samples that were kept", count(rows)), "uid"));
    }
    if let Some(rows) = published.records(Kind::Tar) {
        if !published.tars.images.is_empty() {
            let mut images = Records::new("images", "image-files");
            images.key();
            images.field("image", "sc:ImageObject", "The picture", content(), None);
            out.push(images.done(format!("The pictures of the {} samples in the tars", count(rows)), "key"));
        }
        if published.tars.has_text {
            let mut texts = Records::new("captions", "text-files");
            texts.key();
            texts.field("caption", "sc:Text", "The caption", content(), None);
            out.push(texts.done("The captions, by the key of the picture".into(), "key"));
        }
        if !published.tars.json.is_empty() {
            let mut texts = Records::new("metadata", "json-files");
            texts.key();
            let own: Vec<Member> =
                published.tars.json.iter().filter(|member| member.name != "key").cloned().collect();
            texts.members(&own, |name| (content(), Some(json!({ "jsonPath": format!("$.{}", path(name)) }))));
            out.push(texts.done("The metadata, by the key of the picture".into(), "key"));
        }
    }
    if let Some(rows) = published.records(Kind::Selection) {
        let mut selection = Records::new("selection", "selection-files");
        let member = |(name, kind): (&str, &'static str)| Member { name: name.into(), kind, is_list: false };
        let members = [
            ("uid", "sc:Text"),
            ("keep", "sc:Boolean"),
            ("dropped_by", "sc:Text"),
            ("reason", "sc:Text"),
            ("copies", "sc:Integer"),
        ];
        selection.members(&members.map(member), column);
        out.push(selection.done(format!("What became of all {} samples of the input", count(rows)), "uid"));
    }
    json!(out)
}

/// A name as a step of a JSONPath.
fn path(name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_plain { name.to_owned() } else { format!("'{}'", name.replace('\\', "\\\\").replace('\'', "\\'")) }
}

/// What a column is, by the names that every run uses.
fn about(name: &str) -> &'static str {
    match name {
        "uid" => "The identity of the sample: 32 hexadecimal characters",
        "key" => "The key of the sample in its tar",
        "url" => "Where the picture was found",
        "text" | "caption" | "txt" | "alt_text" => "The original caption",
        "caption_best" => "The caption to train on",
        "keep" => "Whether every step kept it",
        "dropped_by" => "The step that dropped it",
        "reason" => "Why",
        "copies" => "How often it stands in the subset",
        "cluster" => "Its cluster",
        "clip_score" => "Cosine of picture and caption",
        "language" => "The language of the caption",
        "language_probability" => "How sure that is, 0 to 1",
        name if name.starts_with("caption_") => "A caption that a step made, or what is known of it",
        name if name.starts_with("sim_") => "Cosine of picture and one of its captions",
        name if name.starts_with("prob_") => "Probability that this caption is the better one",
        name if name.starts_with("verdict") => "The verdict on its cluster",
        name if name.starts_with("cluster_") => "What a judge called its cluster",
        name if name.starts_with("state_") => "What became of the attempt to caption it",
        _ => "As the input has it",
    }
}
