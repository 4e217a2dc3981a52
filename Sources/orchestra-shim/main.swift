internal import Glibc
internal import Shim

exit(ShimCommand.run(CommandLine.arguments))
