import Testing

@testable import orchestra

@Suite("UserDirectories")
struct UserDirectoriesTests {
    private func directories(_ environment: [String: String]) -> UserDirectories {
        UserDirectories(environment: environment, accountHome: "/account")
    }

    @Test("HOME counts, not the password database")
    func home() { #expect(self.directories(["HOME": "/h"]).state == "/h/.local/state/orchestra") }

    @Test("without an absolute HOME the password database counts", arguments: [[:], ["HOME": ""], ["HOME": "h"]])
    func account(environment: [String: String]) { #expect(self.directories(environment).home == "/account") }

    @Test("XDG_STATE_HOME holds the state directory")
    func state() { #expect(self.directories(["HOME": "/h", "XDG_STATE_HOME": "/s"]).state == "/s/orchestra") }

    @Test("XDG_CONFIG_HOME holds the configuration file, else ~/.config does")
    func configuration() {
        #expect(self.directories(["XDG_CONFIG_HOME": "/c"]).configurationFile == "/c/orchestra/config.json")
        #expect(self.directories(["HOME": "/h"]).configurationFile == "/h/.config/orchestra/config.json")
    }

    @Test("a relative XDG directory is ignored, as its specification says")
    func relative() {
        let directories = self.directories([
            "HOME": "/h", "XDG_STATE_HOME": "s", "XDG_CONFIG_HOME": ".", "XDG_RUNTIME_DIR": "r",
        ])
        #expect(directories.state == "/h/.local/state/orchestra")
        #expect(directories.configurationFile == "/h/.config/orchestra/config.json")
        #expect(directories.runtime == nil)
    }

    @Test("XDG_RUNTIME_DIR is the runtime directory")
    func runtime() { #expect(self.directories(["XDG_RUNTIME_DIR": "/run/user/1"]).runtime == "/run/user/1") }
}
