//! The page and the policy it is served under: it runs its own script and style, and nothing else.

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::options::Options;

/// The page: one file without outside resources.
pub const PAGE: &str = include_str!("page.html");

/// The Content-Security-Policy of a page that holds one `<script>` and one `<style>`: both are named by their hash, so
/// that no markup that found its way into the page could run or load anything else.
///
/// Two of the old transports are elements that the page makes: a `<script>` for each JSONP answer and an `<iframe>` for
/// each stream, so the servers that the page may use are named for those, if the transports are offered. All that they
/// serve as scripts are JSONP answers, which call nothing but the page's own receivers (`jsonp.rs`). Without
/// `jsonp` and `iframe` (`--disable jsonp,iframe`) nothing but the page's script runs.
pub fn content_security_policy(page: &str, options: &Options) -> String {
    let [script, style] = ["script", "style"].map(|element| Sha256::digest(content(page, element)));
    let [script, style] = [&script, &style].map(|hash| Base64Display::new(hash, &STANDARD));
    let servers = options.backends.iter().fold("'self'".to_owned(), |servers, origin| servers + " " + origin);
    // 'self' covers ws: of this host; of others it has to be named.
    let sockets =
        options.backends.iter().filter_map(|origin| Some(format!(" ws{}", origin.strip_prefix("http")?)));
    let sockets: String = sockets.collect();
    let scripts = if options.offers("jsonp") { format!(" {servers}") } else { String::new() };
    let frames = if options.offers("iframe") { format!(" frame-src {servers};") } else { String::new() };
    format!(
        "default-src 'none'; script-src 'sha256-{script}'{scripts}; style-src 'sha256-{style}'; \
         connect-src {servers}{sockets};{frames} base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// What stands between the start tag and the end tag of the page's only such element.
fn content<'p>(page: &'p str, element: &str) -> &'p str {
    let inner = page.split_once(&format!("<{element}>")).map_or("", |(_, rest)| rest);
    inner.split_once(&format!("</{element}>")).map_or("", |(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_and_style_are_named_by_their_hash() {
        let policy =
            content_security_policy("<style>abc</style><p><script>\nabc</script>", &Options::default());
        // The first is the well-known SHA-256 of "abc" (FIPS 180-2, B.1).
        assert!(
            policy.contains("style-src 'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=';"),
            "{policy}"
        );
        assert!(policy.contains("script-src 'sha256-"));
        assert_eq!(policy.matches("ungWv48Bz").count(), 1);
    }

    #[test]
    fn the_policy_names_what_the_transports_need_and_no_more() {
        let policy = |line: &str| {
            let options = Options::parse(line.split_whitespace().map(str::to_owned)).unwrap();
            content_security_policy("", &options)
        };
        let none = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='";
        let rest = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
        assert_eq!(
            policy("--disable jsonp,iframe"),
            format!("default-src 'none'; script-src {none}; style-src {none}; connect-src 'self'; {rest}")
        );
        assert_eq!(
            policy("--backend https://b:1"),
            format!(
                "default-src 'none'; script-src {none} 'self' https://b:1; style-src {none}; \
                 connect-src 'self' https://b:1 wss://b:1; frame-src 'self' https://b:1; {rest}"
            )
        );
    }

    #[test]
    fn the_page_has_one_script_and_one_style_and_no_outside_resource() {
        assert_eq!((PAGE.matches("<script").count(), PAGE.matches("<style").count()), (1, 1));
        assert!(!content(PAGE, "script").is_empty() && !content(PAGE, "style").is_empty());
        for outside in ["http:", "https:", "//cdn", "@import", "url(", " src=", "<link"] {
            let found: Vec<&str> = PAGE.lines().filter(|line| line.contains(outside)).collect();
            assert!(found.iter().all(|line| line.contains("url.protocol")), "{outside}: {found:?}");
        }
    }

    #[test]
    fn the_page_never_makes_markup_of_text() {
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            " style=",
            " onclick=",
        ] {
            assert!(!PAGE.contains(sink), "{sink}");
        }
    }
}
