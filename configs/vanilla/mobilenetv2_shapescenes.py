# Search the tree with bmtas search, then train it from this file:
# bmtas train CONFIG --branching work_dirs/vanilla/mobilenetv2_shapescenes/branching.json
_base_ = '../branched/mobilenetv2_shapescenes.py'
# shared costs 105, separate 293 million MAdds
search = dict(type='VanillaSearch', rule='at_most')
budget = '0.17G'
