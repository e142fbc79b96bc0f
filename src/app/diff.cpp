// `poster diff`: what differs between two runs.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <error.hpp>

#include "commands.hpp"
#include "differences.hpp"
#include "reading.hpp"
#include "table.hpp"

namespace poster {

int show_differences(const DiffArguments& arguments) {
    Reading reading = read_existing_store(arguments.store);
    RunRow before = reading.index->find(arguments.before), after = reading.index->find(arguments.after);
    const Store& store = reading.workspace.store;
    auto found = differences(view_of(store.run_dir(before.id)), view_of(store.run_dir(after.id)), true);
    if (arguments.json) {
        nlohmann::ordered_json all = nlohmann::ordered_json::array();
        for (const auto& it : found) all.push_back({{"what", it.what}, {"before", it.before}, {"after", it.after}});
        print_out(all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
        return 0;
    }
    if (found.empty())
        say(fmt::format("nothing that poster knows of differs between {} and {}", before.id, after.id));
    else
        print_out(render_differences(found, stdout_terminal(), before.id, after.id));
    return 0;
}

} // namespace poster
