//! One `POST` over HTTP, and what its failures mean. Connections are kept and used again.
use crate::{
    ChatError, Endpoint, Result,
    retry::{Fault, retry_after},
    settings::Settings,
};
use std::{
    io::ErrorKind,
    sync::Arc,
    time::{Duration, SystemTime},
};
use ureq::{
    Agent, Timeout,
    config::Config,
    http::{HeaderValue, header},
    tls::{Certificate, RootCerts, TlsConfig},
};

/// The longest body that is read; an answer of a million tokens is a tenth of it.
const LONGEST_BODY: u64 = 64 << 20;

/// How an endpoint is reached.
pub(crate) struct Transport {
    config: Config,
    endpoint: Endpoint,
    address: String,
    key: Option<HeaderValue>,
    timeout: Duration,
}

impl Transport {
    pub fn new(endpoint: &Endpoint, settings: &Settings) -> Result<Self> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // A key must not follow to another address.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(settings.timeout))
            .timeout_connect(Some(settings.connect_timeout))
            .max_idle_connections(settings.in_flight)
            .max_idle_connections_per_host(settings.in_flight)
            .accept_encoding("identity")
            .user_agent(concat!("cribble/", env!("CARGO_PKG_VERSION")));
        if is_this_machine(&endpoint.base) {
            config = config.proxy(None);
        }
        if endpoint.base.starts_with("https:") {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                return Err(ChatError::Certificates { endpoint: endpoint.base.clone() });
            }
            let certificates: Vec<_> =
                found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
            let tls = TlsConfig::builder()
                .root_certs(RootCerts::new_with_certs(&certificates))
                .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
            config = config.tls_config(tls.build());
        }
        let key = endpoint.key.as_ref().map(|key| key.header()).transpose()?;
        let address = format!("{}/chat/completions", endpoint.base);
        Ok(Self {
            config: config.build(),
            endpoint: endpoint.clone(),
            address,
            key,
            timeout: settings.timeout,
        })
    }

    /// Connections of their own, which a cancel can cut: [`Agent::shutdown`].
    pub fn agent(&self) -> Agent {
        self.config.new_agent()
    }

    /// The text that the server answers with a status of success.
    pub fn post(&self, agent: &Agent, body: &[u8]) -> Result<String, Fault> {
        let mut request = agent.post(&self.address).header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, key);
        }
        let mut response = request.send(body).map_err(|error| self.broken(&error))?;
        let status = response.status();
        let wait = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|value| retry_after(value, SystemTime::now()));
        let text = response.body_mut().with_config().limit(LONGEST_BODY).lossy_utf8(true).read_to_string();
        // A server that repeats the key must not bring it into the cache, nor its beginning into a complaint that is cut.
        let text = text.map(|text| self.endpoint.hide(&text));
        if status.is_success() {
            return text.map_err(|error| self.broken(&error).lost());
        }
        Err(Fault::of_status(status.as_u16(), &text.unwrap_or_default(), wait))
    }

    fn broken(&self, error: &ureq::Error) -> Fault {
        let text = error.to_string();
        if text.contains("certificate") || text.contains("InvalidCertificate") {
            let cure = "behind a proxy that opens connections, set SSL_CERT_FILE to its certificate";
            return Fault::lasting(None, format!("is not trusted ({text})"), cure).stopping();
        }
        let unreachable = |what: &str| Fault {
            cure: "start the server, or check the address; then run again: answers that arrived are kept",
            ..Fault::passing(what)
        };
        match error {
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                unreachable("cannot be reached in time")
            }
            ureq::Error::Timeout(_) => Fault {
                cure: "raise the timeout, or ask for fewer calls in flight or fewer tokens",
                ..Fault::passing(format!("did not answer within {:?}", self.timeout)).lost()
            },
            ureq::Error::HostNotFound => unreachable("is a host that is not found"),
            ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
                unreachable("refuses connections")
            }
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                Fault::lasting(None, format!("cannot be called ({text})"), "check the address")
            }
            _ => Fault::passing(format!("broke the connection ({text})")),
        }
    }
}

/// Whether an address is of this machine: a company's proxy has no business there.
fn is_this_machine(base: &str) -> bool {
    let uri = base.parse::<ureq::http::Uri>().ok();
    let host = uri.as_ref().and_then(|uri| uri.host()).unwrap_or("");
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_several_names() {
        for base in ["http://localhost:1/v1", "http://127.0.0.1:8000", "https://[::1]:8/v1"] {
            assert!(is_this_machine(base), "{base}");
        }
        for base in ["http://10.0.0.1", "https://localhost.example.com/v1"] {
            assert!(!is_this_machine(base), "{base}");
        }
    }
}
