#include "trainer/config/settings_list.h"

#include <gmock/gmock.h>

#include <sstream>
#include <variant>

#include "trainer/config_schema.h"

namespace retape::trainer {
namespace {

using testing::HasSubstr;

TEST(SettingsList, HasALineOfAtMostEightyColumnsForEveryKey) {
  const std::string list = settings_list();
  Config config;
  std::size_t lines = 0;
  std::string_view table;
  for (const schema::Key& key : schema::keys_of(config)) {
    lines += key.table == table ? 1 : 2;
    table = key.table;
    EXPECT_THAT(list, HasSubstr(fmt::format("\n  {} = ", key.name)));
    EXPECT_TRUE(std::holds_alternative<schema::Choice>(key.field) || !key.about.empty()) << key.full_name();
  }
  std::istringstream stream(list);
  for (std::string line; std::getline(stream, line); --lines) {
    EXPECT_LE(line.size(), 80U) << line;
  }
  EXPECT_EQ(lines, 0U);
}

TEST(SettingsList, ShowsDefaultsAndWhatThereIsToChoose) {
  const std::string list = settings_list();
  EXPECT_THAT(list, HasSubstr("[run]\n  name = \"gpt\"  "));
  EXPECT_THAT(list, HasSubstr("\n  dtype = \"f32\"                 f32, bf16\n"));
  EXPECT_THAT(list, HasSubstr("\n  betas = [0.9, 0.95]           decay of AdamW's moments\n"));
  EXPECT_THAT(list, HasSubstr("none, full, selective, block, uniform, nested\n"));
  EXPECT_EQ(list.find("auto, none"), std::string::npos);
}

}  // namespace
}  // namespace retape::trainer
