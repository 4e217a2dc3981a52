import ArgumentParser

/// The root command.
struct Orchestra: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "orchestra",
        abstract: "Runs AI agents and the actions they ask for: queued, decided, sandboxed, audited.",
        discussion: """
            EXAMPLES
              orchestra dev                                         a whole node on this machine
              orchestra submit shell.run --param command='uname -a' --wait
              orchestra jobs list
              orchestra agents list
              orchestra status

            EXIT STATUS
              0 done · 1 the job failed · 64 usage · 65 unusable params · 69 a needed service is missing
              70 gave up · 74 the output cannot be written (without a message when its reader closed the pipe)
              77 not permitted · 78 configuration
            """,
        version: Version.text,
        subcommands: [
            DevCommand.self, WorkerCommand.self, StatusCommand.self, SubmitCommand.self, JobsCommand.self,
            DeadCommand.self, WorkspacesCommand.self, AgentsCommand.self, SandboxCommand.self, SelftestCommand.self,
            DoctorCommand.self, AuditCommand.self, RedactCommand.self,
            ConfigCommand.self,
            PolicyCommand.self, KeysCommand.self, TokensCommand.self, CredentialsCommand.self, BudgetsCommand.self,
            EgressServerCommand.self,
        ])
}
