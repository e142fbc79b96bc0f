// poster: parses the command line, carries the command out, and tells of what failed.

#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include <error.hpp>
#include <process.hpp>

#include "parse.hpp"

namespace {

constexpr int kUsage = 2;
constexpr int kFailed = 1;

} // namespace

int main(int argc, char** argv) {
    poster::remember_command_line(argc, argv);
    try {
        std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
        return poster::execute(poster::parse(words));
    } catch (const poster::UsageError& error) {
        poster::complain(error);
        return kUsage;
    } catch (const poster::Error& error) {
        poster::complain(error);
    } catch (const std::exception& error) {
        poster::say(std::string("internal error: ") + error.what());
    }
    const std::string_view command = argc > 1 ? argv[1] : "";
    const bool launches = command == "run" || command == "rerun" || command == "continue";
    return launches ? poster::kOwnFailure : kFailed;
}
