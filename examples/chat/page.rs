//! The page and the policy it is served under: it runs its own script and style, and nothing else.

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The page: one file without outside resources.
pub const PAGE: &str = include_str!("page.html");

/// The Content-Security-Policy of a page that holds one `<script>` and one `<style>`: both are named by their hash, so
/// that no markup that found its way into the page could run or load anything.
pub fn content_security_policy(page: &str) -> String {
    let [script, style] = ["script", "style"].map(|element| Sha256::digest(content(page, element)));
    let [script, style] = [&script, &style].map(|hash| Base64Display::new(hash, &STANDARD));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
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
        let policy = content_security_policy("<style>abc</style><p><script>\nabc</script>");
        // The first is the well-known SHA-256 of "abc" (FIPS 180-2, B.1).
        assert!(
            policy.contains("style-src 'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=';"),
            "{policy}"
        );
        assert!(policy.contains("script-src 'sha256-"));
        assert_eq!(policy.matches("ungWv48Bz").count(), 1);
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
