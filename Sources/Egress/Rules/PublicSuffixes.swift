/// Names under which anybody can register, so a wildcard directly above one of them would allow everybody's hosts.
///
/// The built-in rule refuses a single label (`com`), two labels of which the first is a usual second-level category and the
/// second is a country code (`co.uk`), and a short list of hosting providers. It is not the Public Suffix List: an operator
/// who needs all of that list injects it as `additional`.
package struct PublicSuffixes: Hashable, Sendable {
    private let additional: Set<String>

    /// Takes further suffixes in lower case, without a leading dot.
    package init(additional: Set<String> = []) { self.additional = additional }

    /// Whether a wildcard directly above the name is refused.
    package func contains(_ name: HostName) -> Bool {
        let labels = name.text.split(separator: ".")
        guard let last = labels.last, labels.count > 1 else { return true }
        if labels.count == 2, last.utf8.count == 2, Self.categories.contains(String(labels[0])) { return true }
        return Self.providers.contains(name.text) || self.additional.contains(name.text)
    }

    private static let categories: Set<String> = [
        "ac", "co", "com", "edu", "gob", "gouv", "gov", "gv", "id", "ltd", "me", "mil", "ne", "net", "nhs", "nom", "or",
        "org", "plc", "sch",
    ]

    private static let providers: Set<String> = [
        "amazonaws.com", "appspot.com", "azureedge.net", "azurewebsites.net", "blob.core.windows.net", "blogspot.com",
        "cloudapp.net", "cloudfront.net", "cloudfunctions.net", "deno.dev", "firebaseapp.com", "fly.dev", "github.io",
        "githubusercontent.com", "gitlab.io", "glitch.me", "herokuapp.com", "netlify.app", "ngrok-free.app", "ngrok.io",
        "onrender.com", "pages.dev", "r2.dev", "readthedocs.io", "repl.co", "run.app", "s3.amazonaws.com",
        "supabase.co",
        "surge.sh", "trycloudflare.com", "vercel.app", "web.app", "workers.dev",
    ]
}
