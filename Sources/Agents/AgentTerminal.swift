internal import Logging
internal import Terminals

/// The tmux servers in which one launch of an agent is seen: the first runs its shim, each later one replaces a server
/// that is gone.
actor AgentTerminal {
    private let directory: AgentDirectory
    private let generation: Int
    private let configuration: AgentConfiguration
    private let logger: Logger
    /// The number of the newest server that was started here; a socket's path is used only once.
    private var number = 0

    init(_ directory: AgentDirectory, generation: Int, configuration: AgentConfiguration, logger: Logger) {
        self.directory = directory
        self.generation = generation
        self.configuration = configuration
        self.logger = logger
    }

    /// Starts a server whose pane runs the shim: as `agent` for the launch, as `view` afterwards. Throws when it cannot be
    /// started; nothing of it is left then.
    func open(_ verb: String) async throws {
        let (directory, generation) = (self.directory, self.generation)
        let newest = try await self.configuration.files.run { try directory.latestViewNumber(generation) }
        self.number = max(self.number, newest) + 1
        let path = directory.generationPath(generation)
        let server = TmuxServer(
            executable: self.configuration.tmux, socket: directory.viewPath(generation, self.number))
        _ = try await server.start(
            configurationFile: "\(path)/tmux.conf", argv: [self.configuration.shim, verb, path], directory: path)
    }

    /// Gives the pane the size of the terminal that it shows. Never throws: a failure changes only what viewers see.
    func resize(columns: UInt16, rows: UInt16) async {
        let (directory, generation) = (self.directory, self.generation)
        do {
            let latest = try await self.configuration.files.run { try directory.latestView(generation) }
            guard let latest else { return }
            try await TmuxServer(executable: self.configuration.tmux, socket: latest)
                .resize(columns: columns, rows: rows)
        } catch {
            self.logger.debug("the agent's pane was not resized", error: error)
        }
    }

    /// Starts a server to look at the agent where the last one is gone. Never throws: the agent does not need it.
    func reopen() async {
        let (directory, generation) = (self.directory, self.generation)
        do {
            // After an adoption the shim reports again the pane that it lost long ago.
            let latest = try await self.configuration.files.run { try directory.latestView(generation) }
            if let latest, await TmuxServer(executable: self.configuration.tmux, socket: latest).isAlive() { return }
            self.logger.warning("the agent's tmux server is gone; the agent goes on")
            try await self.open("view")
        } catch {
            self.logger.error("the agent's terminal could not be shown again", error: error)
        }
    }
}
