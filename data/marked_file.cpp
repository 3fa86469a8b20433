#include "data/marked_file.h"

#include "data/files/output_mark.h"

namespace retape::data {

void write_mark(AtomicFile& mark, AtomicFile& file, std::string_view command) {
  file.sync();
  mark.write(mark_text(file.temporary(), command));
  mark.sync();
}

void commit_with_mark(AtomicFile& file, std::string_view command) {
  AtomicFile mark(mark_beside(file.path()));
  write_mark(mark, file, command);
  mark.commit();
  file.commit();
}

}  // namespace retape::data
